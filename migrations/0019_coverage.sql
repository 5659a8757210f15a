-- Coverage of the stream: what each connection heard, and until when that is proven. Gaps are what no connection covers.
--
-- Everything here is an addition: a process of the version before goes on working beside it. Its own table, listener, is
-- read by no one else any more and can go with the next release.

-- The key of an advisory lock: locks are shared by all schemas of a database, so the schema is a part of the key.
create function lock_key(name text) returns bigint language sql stable
    return hashtextextended(current_schema() || '/' || name, 0);

-- What a partner is to be heard on, and from when to when. A row of its own for each of its keys, so that a change of the
-- key leaves nothing of the time before undecided.
create table stream_term (
    stream_term_id bigint generated always as identity constraint stream_term_pkey primary key,
    partner_id uuid not null constraint stream_term_partner references partner on delete cascade,
    channel text not null,
    began_at timestamptz not null,
    ended_at timestamptz,
    -- Everything before was judged: each moment was heard or lies in a gap.
    decided_until timestamptz not null,
    constraint stream_term_ends_after_it_begins check (ended_at >= began_at)
) with (fillfactor = 70);
create unique index stream_term_one_is_present on stream_term (partner_id) where ended_at is null;
create index stream_term_by_partner on stream_term (partner_id, channel);

-- Whoever writes partners, also a process of the version before, changes what they are heard on.
create function partner_is_heard() returns trigger language plpgsql as $$
declare
    moment timestamptz := clock_timestamp();
begin
    if tg_op = 'UPDATE' then
        if new.api_key = old.api_key and (new.deleted_at is null) = (old.deleted_at is null) then
            return null;
        end if;
        update stream_term set ended_at = greatest(moment, began_at)
        where partner_id = new.partner_id and ended_at is null;
    end if;
    if new.deleted_at is null then
        insert into stream_term (partner_id, channel, began_at, decided_until)
        values (new.partner_id, new.api_key, moment, moment);
    end if;
    return null;
end $$;

-- Where the version before left off: a listener of its that died has not heard since.
insert into stream_term (partner_id, channel, began_at, decided_until)
select partner_id, api_key, since, since
from (select partner_id, api_key,
             coalesce((select max(proven_at) from listener where partner.partner_id = any (listener.partner_ids)), now())
                 as since
      from partner where deleted_at is null) as present;

create trigger partner_is_heard after insert or update of api_key, deleted_at on partner
for each row execute function partner_is_heard();

-- One connection of a process to Pusher. Its owner renews it every other second.
create table stream_connection (
    stream_connection_id uuid constraint stream_connection_pkey primary key,
    -- The run of the process that owns it: holds the lock 'listener/<id>' while it lives.
    listener_id uuid not null,
    slot integer not null,
    opened_at timestamptz not null,
    -- Until when everything on it was heard and is committed or on disk.
    proven_at timestamptz not null,
    renewed_at timestamptz not null,
    ended_at timestamptz,
    reason text,
    constraint stream_connection_ends_after_it_opens check (ended_at >= opened_at)
) with (fillfactor = 50);

-- A partner's channel that is, or was, confirmed on a connection.
create table stream_subscription (
    stream_connection_id uuid not null constraint stream_subscription_connection
        references stream_connection on delete cascade,
    partner_id uuid not null,
    channel text not null,
    confirmed_at timestamptz not null,
    ended_at timestamptz,
    reason text,
    constraint stream_subscription_pkey primary key (stream_connection_id, partner_id, channel, confirmed_at),
    constraint stream_subscription_ends_after_it_begins check (ended_at >= confirmed_at)
) with (fillfactor = 70);
create index stream_subscription_by_partner on stream_subscription (partner_id, channel);
