-- Strangers have a room of their own: what an unauthenticated webhook brought and no token verifies is bounded apart from
-- everything else that is put aside. A process of the version before goes on working beside it.

alter table quarantine add column stranger boolean not null default false;

-- It follows from the other columns, whoever writes them. Fires after quarantine_codes, by its name.
create function quarantine_rooms() returns trigger language plpgsql as $$
begin
    new.stranger := new.source = 'webhook'
        and new.code in ('no_token', 'no_token_fits', 'not_signed', 'other_algorithm');
    return new;
end $$;

create trigger quarantine_rooms before insert or update on quarantine
for each row execute function quarantine_rooms();

-- Nothing is put aside while the rooms are counted.
lock table quarantine in share row exclusive mode;
drop trigger quarantine_counts on quarantine;
drop function quarantine_count();
-- The trigger above sets the column.
update quarantine set code = code where source = 'webhook';

alter table quarantine_usage
    add column stranger boolean not null default false,
    drop constraint quarantine_usage_of_one_partner;
delete from quarantine_usage;
insert into quarantine_usage (partner_id, stranger, messages, bytes)
select partner_id, stranger, count(*), sum(octet_length(raw)) from quarantine group by partner_id, stranger;
alter table quarantine_usage
    add constraint quarantine_usage_of_one_room unique nulls not distinct (partner_id, stranger);

-- Once a statement and not once a row, in the order of the rooms, so that two that empty several do not deadlock.
create function quarantine_added() returns trigger language plpgsql as $$
begin
    insert into quarantine_usage as usage (partner_id, stranger, messages, bytes)
    select partner_id, stranger, count(*), sum(octet_length(raw)) from added
    group by partner_id, stranger order by partner_id, stranger
    on conflict on constraint quarantine_usage_of_one_room
    do update set messages = usage.messages + excluded.messages, bytes = usage.bytes + excluded.bytes;
    return null;
end $$;

create function quarantine_removed() returns trigger language plpgsql as $$
begin
    insert into quarantine_usage as usage (partner_id, stranger, messages, bytes)
    select partner_id, stranger, -count(*), -sum(octet_length(raw)) from removed
    group by partner_id, stranger order by partner_id, stranger
    on conflict on constraint quarantine_usage_of_one_room
    do update set messages = usage.messages + excluded.messages, bytes = usage.bytes + excluded.bytes;
    return null;
end $$;

-- From one room to the other.
create function quarantine_moved() returns trigger language plpgsql as $$
begin
    insert into quarantine_usage as usage (partner_id, stranger, messages, bytes)
    select partner_id, stranger, sum(message), sum(size)
    from (select partner_id, stranger, 1 as message, octet_length(raw) as size from added
          union all
          select partner_id, stranger, -1, -octet_length(raw) from removed) as changed
    group by partner_id, stranger having sum(message) <> 0 order by partner_id, stranger
    on conflict on constraint quarantine_usage_of_one_room
    do update set messages = usage.messages + excluded.messages, bytes = usage.bytes + excluded.bytes;
    return null;
end $$;

create trigger quarantine_added after insert on quarantine referencing new table as added
for each statement execute function quarantine_added();
create trigger quarantine_removed after delete on quarantine referencing old table as removed
for each statement execute function quarantine_removed();
create trigger quarantine_moved after update on quarantine referencing old table as removed new table as added
for each statement execute function quarantine_moved();
