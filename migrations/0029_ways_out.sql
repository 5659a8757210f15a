-- Callbacks do not lead back to any process of the installation; what the relay told about an order goes with it; Get
-- Webhooks finds an event's name by an index; and a recovery counts no further than it says.
--
-- A process of the version before goes on working beside it: it writes null and defaults where it does not know a column.

-- Where the processes with an HTTP interface listen. A row whose heartbeat is old is a dead one's.
create table api_process (
    api_process_id uuid constraint api_process_pkey primary key,
    -- The network stack it listens in: an address like 127.0.0.1 means another machine in another one.
    network text not null,
    port integer not null constraint api_process_port_range check (port between 1 and 65535),
    -- Addresses that mean this process wherever they are dialled.
    addresses text[] not null default '{}',
    heartbeat_at timestamptz not null default now()
);

create index event_by_name on event (partner_id, event, occurred_at, event_id);

-- The order that an event is about which belongs to none: of what the relay tells of a delivery; '': none. Null: a process
-- of the version before wrote it.
alter table event add column about_order_id text;
create index event_about on event (partner_id, about_order_id) where event = 'relay.delivery.exhausted';

-- There was more to count than a recovery counts.
alter table recovery add column total_is_at_least boolean not null default false;
