-- How many relays an event had come through when this one first heard it: 0 from Transak itself.
alter table event add column hops smallint not null default 0
    constraint event_hops_are_counted check (hops >= 0);

-- The fence of write-backs. `attempts` alone is none: what is given back unsent counts no attempt, and the next claim
-- would carry the number of the one before, whose write-back may still be on its way a second time.
alter table delivery add column claims integer not null default 0;
