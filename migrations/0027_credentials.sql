-- A partner's credentials are checked when they are given, and a wallet is found in any spelling.
--
-- A process of the version before goes on working beside it: it does not know these columns, and finds wallets by the
-- index it knows.

create type credentials_state as enum ('unchecked', 'valid', 'mismatched', 'invalid');

alter table partner
    -- What Transak said of the token `credentials_token_id`, and when.
    add column credentials_state credentials_state not null default 'unchecked',
    add column credentials_detail text,
    add column credentials_checked_at timestamptz,
    -- Null: whatever token there is has to be looked at.
    add column credentials_token_id uuid,
    -- The lease: nobody asks before.
    add column credentials_check_after timestamptz;

-- Addresses of Ethereum and its like are hexadecimal: capital letters are a checksum, not a difference. All others are
-- compared as they are. `model::order::wallet_key` is the same rule.
create index order_by_wallet_key on "order" (
    partner_id,
    (case when wallet_address ~ '^0[xX][0-9a-fA-F]{40}$' then lower(wallet_address) else wallet_address end)
) where wallet_address is not null;
