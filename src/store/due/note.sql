-- $1 and $2: endpoints, $3: in how many seconds each has something due.
insert into endpoint_due (partner_id, endpoint_id, due_at)
select given.partner_id, given.endpoint_id, given.due_at
from (select partner_id, endpoint_id, now() + make_interval(secs => min(wait)) as due_at
      from unnest($1::uuid[], $2::uuid[], $3::float8[]) as given (partner_id, endpoint_id, wait)
      group by partner_id, endpoint_id order by partner_id, endpoint_id) as given
-- Whoever takes the row away has looked what is due before, and so waits for this transaction.
where not exists (select from endpoint_due as noted
                  where noted.partner_id = given.partner_id and noted.endpoint_id = given.endpoint_id
                    and noted.due_at <= given.due_at
                  for key share)
