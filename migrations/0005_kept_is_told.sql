-- Kept is told: who sends to which endpoint, how much at once, in which order, and what happens when it does not answer.
--
-- Everything here is an addition: a process of the version before goes on working beside it.

alter table endpoint
    -- The most requests at once.
    add column max_in_flight integer not null default 16
        constraint endpoint_max_in_flight_range check (max_in_flight between 1 and 1000),
    -- Requests in a thousand seconds; null: as fast as they come.
    add column rate_thousandths integer
        constraint endpoint_rate_range check (rate_thousandths between 1 and 10000000),
    add column rate_burst integer
        constraint endpoint_rate_burst_range check (rate_burst between 1 and 10000),
    -- One request at a time for each order, in the order of hearing.
    add column ordered boolean not null default false,
    -- The breaker: how often it opened since the last success, and until when nothing is sent. Written when it opens or
    -- closes, never in between.
    add column breaker_trips smallint not null default 0,
    add column paused_until timestamptz,
    add constraint endpoint_rate_is_whole check ((rate_thousandths is null) = (rate_burst is null)),
    add constraint endpoint_paused_has_tripped check (paused_until is null or breaker_trips > 0);

alter table delivery
    -- Its place in the lane of its order; null: it is in no lane. Of a lane only one delivery is due at a time, the
    -- others wait with next_attempt_at = 9999-01-01 until the one before them is finished.
    add column position bigint,
    -- The receiver asked (Retry-After) not to be called sooner; nothing that hastens a delivery goes below it.
    add column not_before timestamptz;
create sequence delivery_position;
create index delivery_lane on delivery (partner_id, endpoint_id, order_id, position)
    where state = 'pending' and position is not null;

-- The dispatchers that are alive. Each holds a session's advisory lock on its key for as long as it lives, so that a
-- process that was killed is known to be dead at once and not only when its heartbeat is old.
create table dispatcher (
    dispatcher_id uuid constraint dispatcher_pkey primary key,
    heartbeat_at timestamptz not null default now()
) with (fillfactor = 50);

-- Which dispatcher sends to an endpoint. Only one does at a time: it counts requests under way, tokens and failures in
-- memory, exactly, and no row has to be written for each delivery. Written when it changes hands, not by claims.
create table endpoint_lease (
    partner_id uuid not null,
    endpoint_id uuid not null,
    -- Null: free.
    dispatcher_id uuid,
    -- When the last holder died: whoever comes next begins without tokens. Null: it had let go.
    lost_at timestamptz,
    constraint endpoint_lease_pkey primary key (partner_id, endpoint_id)
) with (fillfactor = 50);
create index endpoint_lease_of_dispatcher on endpoint_lease (dispatcher_id) where dispatcher_id is not null;

create type recovery_scope as enum ('failed', 'missing', 'all');
create type recovery_state as enum ('running', 'finished', 'cancelled');

-- Owing an endpoint again what it missed in a span of time: done in small batches by whichever process comes first, each
-- batch and its progress in one transaction.
create table recovery (
    partner_id uuid not null,
    recovery_id uuid not null,
    endpoint_id uuid not null,
    since timestamptz not null,
    until timestamptz not null,
    scope recovery_scope not null,
    state recovery_state not null default 'running',
    -- How many deliveries it was about when it began, and how many are owed by now.
    total bigint not null,
    done bigint not null default 0,
    -- The last event that was looked at.
    after_event_id uuid not null,
    -- The deliveries of the last batch: the next one waits until most of them have been sent.
    batch uuid[] not null default '{}',
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint recovery_pkey primary key (partner_id, recovery_id),
    constraint recovery_ends_after_it_begins check (until > since),
    constraint recovery_finished_iff_finished_at check ((state = 'running') = (finished_at is null))
);
create index recovery_running on recovery (partner_id, recovery_id) where state = 'running';
