-- How an endpoint and the relay prove to each other who they are, and what is known of an answer's body.

create type signature_version as enum ('v1', 'v1a');

alter table endpoint
    -- What its callbacks are signed with.
    add column signatures signature_version[] not null default '{v1}'
        constraint endpoint_is_signed_for check (cardinality(signatures) between 1 and 2),
    -- Sealed JSON object: the client certificate and its key, the private authority.
    add column tls bytea;

-- A secret that both sides hold (v1), or a key pair of which the receiver gets the public half (v1a).
alter table endpoint_secret
    add column kind signature_version not null default 'v1',
    add column public_key text,
    add constraint endpoint_secret_public_key_iff_pair check ((kind = 'v1a') = (public_key is not null));
create unique index endpoint_secret_one_is_current on endpoint_secret (partner_id, endpoint_id, kind)
    where expires_at is null;

-- Whether there was, or may have been, more of the body than is kept. Unknown of attempts before.
alter table attempt add column response_truncated boolean;
