-- How many relays a message had come through when it was put aside, so that it goes on from there when it is tried again.
alter table quarantine add column hops smallint not null default 0
    constraint quarantine_hops_are_counted check (hops >= 0);
