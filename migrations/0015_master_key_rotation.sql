-- Changing the master key while relays run.

-- Which of the keys seals; the other one, while there is one, still opens.
alter table master_key_check add column seals boolean not null default true;
create unique index master_key_check_one_seals on master_key_check (seals) where seals;

-- Which keys the running processes have, so that no key is taken into use that one of them does not know.
create table master_key_holder (
    holder_id uuid constraint master_key_holder_pkey primary key,
    key_ids bytea[] not null,
    -- The key it seals with.
    seals_with bytea not null,
    heartbeat_at timestamptz not null default now()
) with (fillfactor = 50);
