-- $1: the most that is counted.
select (select count(*) from (select from quarantine limit $1) as counted) as "quarantined!",
       (select count(*) from gap join partner using (partner_id) where ended_at is null and partner.deleted_at is null)
           as "gaps_open!",
       coalesce((select sum(extract(epoch from now() - started_at))::float8 from gap join partner using (partner_id)
                 where ended_at is null and partner.deleted_at is null), 0) as "gaps_open_seconds!",
       -- Of a partner that was deleted nobody can ask Transak any more.
       (select count(*) from (select from gap join partner using (partner_id)
                              where repaired_at is null and ended_at is not null and partner.deleted_at is null
                              limit $1) as counted) as "gaps_unrepaired!",
       count(*) filter (where state = 'enabled' and failing_since is null) as "endpoints_answering!",
       count(*) filter (where state = 'enabled' and failing_since is not null
                          and (paused_until is null or paused_until <= now())) as "endpoints_failing!",
       count(*) filter (where state = 'enabled' and paused_until > now()) as "endpoints_paused!",
       count(*) filter (where state = 'disabled') as "endpoints_disabled!",
       count(*) filter (where state = 'disabled'
                          and exists (select from delivery d
                                      where d.partner_id = endpoint.partner_id and d.endpoint_id = endpoint.endpoint_id
                                        and d.state = 'held')) as "endpoints_holding!",
       -- Of those that are given up when they are old enough, the oldest.
       max((select extract(epoch from now() - greatest(d.created_at, endpoint.disabled_at))::float8 from delivery d
            where d.partner_id = endpoint.partner_id and d.endpoint_id = endpoint.endpoint_id and d.state = 'held'
            order by d.delivery_id limit 1))
           filter (where state = 'disabled' and disabled_at is not null) as oldest_held_seconds
from endpoint where deleted_at is null
