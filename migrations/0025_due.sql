-- Who is due is found by an index, and what it costs depends on how many are due, not on how many are owed something.
--
-- A process of the version before goes on working beside it. It knows nothing of these tables: what it writes is found by
-- `due_noted` and by the sweep (ADR 14).

-- When an endpoint is to be looked at, at the latest: of everything pending of it none is due sooner, unless one of these
-- times has passed already. There may be several of one endpoint, and there is none where nothing will be due.
create table endpoint_due (
    partner_id uuid not null,
    endpoint_due_id uuid not null default gen_random_uuid(),
    endpoint_id uuid not null,
    due_at timestamptz not null,
    constraint endpoint_due_pkey primary key (partner_id, endpoint_due_id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500);
create index endpoint_due_soonest on endpoint_due (due_at);
create index endpoint_due_of_partner on endpoint_due (partner_id, due_at);
create index endpoint_due_of_endpoint on endpoint_due (partner_id, endpoint_id, due_at);

-- Endpoints that were enabled, disabled, deleted or taken out of their lanes not long ago: what they are owed may have to
-- follow.
create table endpoint_change (
    partner_id uuid not null,
    endpoint_id uuid not null,
    changed_at timestamptz not null default now(),
    -- The one that was looked at longest ago comes next.
    looked_at timestamptz not null default now(),
    constraint endpoint_change_pkey primary key (partner_id, endpoint_id)
);
create index endpoint_change_next on endpoint_change (looked_at);

-- Whoever wrote it has seen to it that its endpoint is looked at in time. A process of the version before does not, and
-- does not say so either.
alter table delivery add column due_noted boolean not null default true;
alter table delivery alter column due_noted set default false;
create index delivery_not_noted on delivery (partner_id, delivery_id) where state = 'pending' and not due_noted;

-- Everything that waits at this moment, by one step along the index for each endpoint.
insert into endpoint_due (partner_id, endpoint_id, due_at)
with recursive pending as (
    (select partner_id, endpoint_id, next_attempt_at from delivery where state = 'pending'
     order by partner_id, endpoint_id, next_attempt_at limit 1)
    union all
    select next.* from pending cross join lateral (
        select partner_id, endpoint_id, next_attempt_at from delivery
        where state = 'pending' and (partner_id, endpoint_id) > (pending.partner_id, pending.endpoint_id)
        order by partner_id, endpoint_id, next_attempt_at limit 1) as next
)
select partner_id, endpoint_id, next_attempt_at from pending where next_attempt_at < '9999-01-01Z';
