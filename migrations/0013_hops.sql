-- How many relays an event had come through when this one first heard it: 0 from Transak itself.
alter table event add column hops smallint not null default 0
    constraint event_hops_are_counted check (hops >= 0);
