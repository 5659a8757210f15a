-- What an endpoint is owed is brought in line with what the endpoint is, in small steps, and what is held keeps its place
-- in its lane.
--
-- A process of the version before goes on working beside it: it looks for nothing but these rows, by other indexes.

-- What is held, in the order in which it was owed.
create index delivery_held_in_order on delivery (partner_id, endpoint_id, delivery_id) where state = 'held';
drop index delivery_held;

-- A lane is what is pending of it and what is held of it.
create index delivery_in_lane on delivery (partner_id, endpoint_id, order_id, position)
    where position is not null and state in ('pending', 'held');
drop index delivery_lane;

-- Somebody asked for it while a request for it was under way: it is sent once more after that one.
alter table delivery add column again boolean not null default false;
