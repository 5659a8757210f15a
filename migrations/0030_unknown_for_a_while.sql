-- Since when Transak has said, each time a repair asked, that it does not know this order: an answer that is the same for
-- long enough is believed, and the gap no longer waits for another one.
alter table gap_repair_order add column unknown_since timestamptz;
