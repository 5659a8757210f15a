-- Listeners are known by the slot they hold: whoever takes a slot writes down what its predecessor stopped hearing.
drop table listener;
create table listener (
    slot integer constraint listener_pkey primary key,
    -- The partners whose channel is confirmed right now.
    partner_ids uuid[] not null default '{}',
    heartbeat_at timestamptz not null default now()
);
