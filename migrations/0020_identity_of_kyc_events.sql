-- A KYC event is told apart by when Transak triggered it as well: a user may be rejected twice in the same words. Those
-- that are kept get the identity that they would get now, so that one that is heard again is still known.
--
-- Which of them say when they were triggered is seen by their times: the others occurred when they were received. The
-- version before goes on working beside it; should it hear such an event once more before it ends, that is a second event.
update event
set identity = substring(sha256(int8send(8) || 'other at'::bytea || int8send(16) || event.identity
                                || int8send(octet_length(told.micros)) || told.micros) for 16)
from (select partner_id, event_id,
             convert_to((extract(epoch from occurred_at) * 1000000)::bigint::text, 'UTF8') as micros
      from event
      where order_id is null and event like 'KYC\_%' and occurred_at <> received_at) as told
where event.partner_id = told.partner_id and event.event_id = told.event_id;
