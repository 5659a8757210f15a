-- Nothing that Transak says is lost: gaps in what was heard, channels watched on request, and the care of tokens.

-- A span in which nobody was subscribed to a partner's channel. Open while ended_at is null.
create table gap (
    partner_id uuid not null constraint gap_partner references partner,
    gap_id uuid not null,
    started_at timestamptz not null,
    ended_at timestamptz,
    reason text not null,
    -- When everything that the REST API tells of the span had been read.
    repaired_at timestamptz,
    -- When the next attempt to repair may begin, and how many there were.
    next_repair_at timestamptz not null default now(),
    repairs integer not null default 0,
    last_error text,
    constraint gap_pkey primary key (partner_id, gap_id),
    constraint gap_ends_after_it_starts check (ended_at >= started_at),
    constraint gap_is_repaired_after_it_ends check (repaired_at is null or ended_at is not null)
);
create index gap_to_repair on gap (partner_id, next_repair_at) where repaired_at is null;
-- One open gap a partner: whoever notices first writes it down.
create unique index gap_open_once on gap (partner_id) where ended_at is null;

-- A public channel to be subscribed to until its order is terminal.
create table watch (
    partner_id uuid not null constraint watch_partner references partner,
    watch_id uuid not null,
    order_id text,
    partner_order_id text,
    channel text not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    constraint watch_pkey primary key (partner_id, watch_id),
    constraint watch_one_of_two check ((order_id is null) <> (partner_order_id is null))
);
create unique index watch_channel_once on watch (partner_id, channel) where ended_at is null;

-- Which listeners hear a partner's channel right now; a listener that died leaves a row whose heartbeat is old.
create table listener (
    listener_id uuid constraint listener_pkey primary key,
    -- The channels confirmed, by partner.
    partner_ids uuid[] not null default '{}',
    heartbeat_at timestamptz not null default now()
);

-- The care of a partner's access token and of its orders: when to do what next, and who does it now.
alter table partner add column token_refresh_after timestamptz;
alter table partner add column token_refreshed_at timestamptz;
alter table partner add column reconcile_after timestamptz;
alter table partner add column reconciled_at timestamptz;

-- When an order is to be compared with Transak's own record again; null: never.
alter table "order" add column reconcile_at timestamptz;
create index order_to_reconcile on "order" (partner_id, reconcile_at) where reconcile_at is not null;

-- Known only from a row of Transak's statusHistories: the message itself, should it still come, is this event.
alter table event add column from_history boolean not null default false;
create index event_from_history on event (partner_id, order_id, status) where from_history;
