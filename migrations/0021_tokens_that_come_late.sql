-- Whether a new access token may cure a message is a fact in the tables, whichever process put the message aside and
-- whichever has the token. A process of the version before goes on working beside it.

-- Why a message is put aside. `reason` is the sentence beside it, which the version before reads and writes alone.
create type quarantine_reason as enum
    ('no_token', 'no_token_fits', 'not_signed', 'other_algorithm', 'unreadable', 'no_partner', 'refused');

alter table partner
    -- How often an access token was given. Kept by the trigger below, so that whoever adds one need not remember.
    add column token_generation bigint not null default 0,
    -- When Transak's REST API last refused the access token.
    add column token_refused_at timestamptz,
    -- Tokens made in a row because messages did not verify that made none of them verify.
    add column token_fruitless integer not null default 0
        constraint partner_token_fruitless_is_counted check (token_fruitless >= 0);

update partner set token_generation = 1
where exists (select from access_token where access_token.partner_id = partner.partner_id);

create function access_token_counts() returns trigger language plpgsql as $$
begin
    update partner set token_generation = token_generation + 1 where partner_id = new.partner_id;
    return null;
end $$;

create trigger access_token_counts after insert or update of access_token_id on access_token
for each row execute function access_token_counts();

alter table quarantine
    add column code quarantine_reason,
    -- The tokens that it was last tried with: those that the partner had when it had been given so many. While the
    -- partner has been given more, it is to be tried again.
    add column tried_generation bigint not null default -1,
    -- When the same message last came.
    add column last_at timestamptz not null default now();

-- What the version before writes has a sentence and no code.
create function quarantine_code_of(reason text) returns quarantine_reason language sql immutable as $$
    select case reason
        when 'the partner has no access token to verify it with' then 'no_token'
        when 'no access token of the partner verifies its signature' then 'no_token_fits'
        when 'it is not a signed message in compact form' then 'not_signed'
        when 'its claims are not JSON' then 'not_signed'
        when 'it is signed with an algorithm other than HS256' then 'other_algorithm'
        when 'it belongs to no known partner' then 'no_partner'
        when 'the database refused it' then 'refused'
        else 'unreadable'
    end::quarantine_reason
$$;

create function quarantine_codes() returns trigger language plpgsql as $$
begin
    new.code := quarantine_code_of(new.reason);
    return new;
end $$;

create trigger quarantine_codes before insert on quarantine
for each row when (new.code is null) execute function quarantine_codes();

update quarantine set code = quarantine_code_of(reason), last_at = received_at;
alter table quarantine alter column code set not null;

-- What a token that was given since could cure, and when such a message last came.
create index quarantine_to_try on quarantine (partner_id, tried_generation)
    where code in ('no_token', 'no_token_fits');
create index quarantine_unverified on quarantine (partner_id, last_at)
    where code in ('no_token', 'no_token_fits');
