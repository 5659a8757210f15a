-- Whether a term follows another of the same partner. Its first seconds are a gap then, however soon it is heard: what is
-- published meanwhile on the new channel is missed by a partner that was heard until now.
alter table stream_term add column follows boolean not null default false;

create or replace function partner_is_heard() returns trigger language plpgsql as $$
declare
    moment timestamptz := clock_timestamp();
    is_present boolean := false;
begin
    if tg_op = 'UPDATE' then
        if new.api_key = old.api_key and (new.deleted_at is null) = (old.deleted_at is null) then
            return null;
        end if;
        is_present := old.deleted_at is null;
        update stream_term set ended_at = greatest(moment, began_at)
        where partner_id = new.partner_id and ended_at is null;
    end if;
    if new.deleted_at is null then
        insert into stream_term (partner_id, channel, began_at, decided_until, follows)
        values (new.partner_id, new.api_key, moment, moment, is_present);
    end if;
    return null;
end $$;
