//! Postgres' names for what its SQLSTATEs say ("PostgreSQL Error Codes"): of those that an operator has to do with.

/// The name of a condition, such as `disk_full`; that of its class if it has none here.
pub fn condition(code: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name).or_else(|| class(code))
}

fn class(code: &str) -> Option<&'static str> {
    let class = code.get(..2)?;
    CLASSES.iter().find(|(known, _)| *known == class).map(|(_, name)| *name)
}

const CLASSES: &[(&str, &str)] = &[
    ("08", "connection_exception"),
    ("0A", "feature_not_supported"),
    ("22", "data_exception"),
    ("23", "integrity_constraint_violation"),
    ("25", "invalid_transaction_state"),
    ("28", "invalid_authorization_specification"),
    ("40", "transaction_rollback"),
    ("42", "syntax_error_or_access_rule_violation"),
    ("53", "insufficient_resources"),
    ("54", "program_limit_exceeded"),
    ("55", "object_not_in_prerequisite_state"),
    ("57", "operator_intervention"),
    ("58", "system_error"),
    ("F0", "config_file_error"),
    ("P0", "plpgsql_error"),
    ("XX", "internal_error"),
];

const NAMES: &[(&str, &str)] = &[
    ("08001", "sqlclient_unable_to_establish_sqlconnection"),
    ("08003", "connection_does_not_exist"),
    ("08004", "sqlserver_rejected_establishment_of_sqlconnection"),
    ("08006", "connection_failure"),
    ("08P01", "protocol_violation"),
    ("23502", "not_null_violation"),
    ("23503", "foreign_key_violation"),
    ("23505", "unique_violation"),
    ("23514", "check_violation"),
    ("25006", "read_only_sql_transaction"),
    ("25P02", "in_failed_sql_transaction"),
    ("25P03", "idle_in_transaction_session_timeout"),
    ("25P04", "transaction_timeout"),
    ("28P01", "invalid_password"),
    ("3D000", "invalid_catalog_name"),
    ("3F000", "invalid_schema_name"),
    ("40001", "serialization_failure"),
    ("40003", "statement_completion_unknown"),
    ("40P01", "deadlock_detected"),
    ("42501", "insufficient_privilege"),
    ("42703", "undefined_column"),
    ("42704", "undefined_object"),
    ("42883", "undefined_function"),
    ("42P01", "undefined_table"),
    ("53100", "disk_full"),
    ("53200", "out_of_memory"),
    ("53300", "too_many_connections"),
    ("53400", "configuration_limit_exceeded"),
    ("55006", "object_in_use"),
    ("55P03", "lock_not_available"),
    ("57014", "query_canceled"),
    ("57P01", "admin_shutdown"),
    ("57P02", "crash_shutdown"),
    ("57P03", "cannot_connect_now"),
    ("57P04", "database_dropped"),
    ("57P05", "idle_session_timeout"),
    ("58030", "io_error"),
    ("58P01", "undefined_file"),
    ("XX001", "data_corrupted"),
    ("XX002", "index_corrupted"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_by_its_name_or_that_of_its_class() {
        assert_eq!(condition("53100"), Some("disk_full"));
        assert_eq!(condition("53999"), Some("insufficient_resources"));
        assert_eq!([condition(""), condition("5"), condition("ZZ000"), condition("\u{e9}a")], [None; 4]);
    }
}
