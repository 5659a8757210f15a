-- An order may be in one status more than once. What REST alone tells of such a status is an event for each of those times,
-- and a message takes the place of the one it belongs to. A process of the version before keeps these as messages.
alter table event add column is_visit boolean not null default false;
