-- Events in the order of their commits, for those who follow them live.
--
-- Ids and sequences are handed out before the commit, so a row may appear behind one that was already shown. The id of
-- the writing transaction does better: below the oldest transaction that still runs nothing appears any more, so
-- (transaction_id, event_id) is an order that can be read to an end and continued. Events from before are '0'.
alter table event add column transaction_id xid8 not null default '0';
alter table event alter column transaction_id set default pg_current_xact_id();
create index event_in_commit_order on event (partner_id, transaction_id);
