-- Requests that create something, so that the same request sent again creates nothing more.

create table idempotency_key (
    -- Whose key it is: the hash of the token that was presented.
    token_hash bytea not null constraint idempotency_key_token_hash_length check (octet_length(token_hash) = 32),
    idempotency_key text not null,
    -- SHA-256 over what was asked for: another request with the same key is refused.
    fingerprint bytea not null constraint idempotency_key_fingerprint_length check (octet_length(fingerprint) = 32),
    -- The answer, sealed, for it may hold a secret that is shown once. Written by the transaction that created.
    answer bytea,
    created_at timestamptz not null default now(),
    constraint idempotency_key_pkey primary key (token_hash, idempotency_key)
);
create index idempotency_key_by_age on idempotency_key (created_at);

-- Finds the partner whose access token a caller presents.
create index access_token_by_fingerprint on access_token (fingerprint);

-- Exhausted deliveries are few among many and are what people look for.
create index delivery_exhausted on delivery (partner_id, delivery_id) where state = 'exhausted';
