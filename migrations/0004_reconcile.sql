-- What the repairs leave behind, and a bound for what strangers can put aside.

-- Why the last refresh of a partner's access token failed, and how many failed in a row.
alter table partner add column token_refresh_failures integer not null default 0;
alter table partner add column token_last_error text;

-- How much of a partner's (or of nobody's) is in quarantine. One row a partner, kept by the trigger below, so that an
-- insert need not count and whoever deletes need not remember.
create table quarantine_usage (
    partner_id uuid,
    messages bigint not null default 0,
    bytes bigint not null default 0,
    constraint quarantine_usage_of_one_partner unique nulls not distinct (partner_id)
) with (fillfactor = 50);

insert into quarantine_usage (partner_id, messages, bytes)
select partner_id, count(*), sum(octet_length(raw)) from quarantine group by partner_id;

create function quarantine_count() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into quarantine_usage as usage (partner_id, messages, bytes)
        values (new.partner_id, 1, octet_length(new.raw))
        on conflict on constraint quarantine_usage_of_one_partner
        do update set messages = usage.messages + 1, bytes = usage.bytes + excluded.bytes;
    else
        update quarantine_usage set messages = messages - 1, bytes = bytes - octet_length(old.raw)
        where partner_id = old.partner_id or (partner_id is null and old.partner_id is null);
    end if;
    return null;
end $$;

create trigger quarantine_counts after insert or delete on quarantine
for each row execute function quarantine_count();
