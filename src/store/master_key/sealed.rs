//! Every column that holds sealed values. One that is missing here would be lost with the old key, so a test compares this
//! list with the schema.

/// A column of sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedColumn {
    /// The table.
    pub table: &'static str,
    /// The column, of type `bytea`.
    pub column: &'static str,
    /// The context its values are sealed for, as an expression over the row.
    pub context: &'static str,
}

/// All of them.
pub const SEALED: &[SealedColumn] = &[
    sealed("partner", "api_secret", "'api_secret/' || partner_id"),
    sealed("access_token", "token", "'access_token/' || partner_id"),
    sealed("endpoint", "headers", "'headers/' || endpoint_id"),
    sealed("endpoint", "tls", "'tls/' || endpoint_id"),
    sealed("endpoint_secret", "secret", "'endpoint_secret/' || endpoint_id"),
    sealed(
        "idempotency_key",
        "answer",
        "'idempotency/' || rtrim(encode(token_hash, 'base64'), '=') || '/' || idempotency_key",
    ),
];

const fn sealed(table: &'static str, column: &'static str, context: &'static str) -> SealedColumn {
    SealedColumn { table, column, context }
}
