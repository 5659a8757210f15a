-- $1: the most that is counted.
select (select count(*) from (select from quarantine limit $1) as counted) as "quarantined!",
       (select count(*) from gap where ended_at is null) as "gaps_open!",
       coalesce((select sum(extract(epoch from now() - started_at))::float8 from gap where ended_at is null), 0)
           as "gaps_open_seconds!",
       (select count(*) from (select from gap where repaired_at is null and ended_at is not null limit $1) as counted)
           as "gaps_unrepaired!",
       count(*) filter (where state = 'enabled' and failing_since is null) as "endpoints_answering!",
       count(*) filter (where state = 'enabled' and failing_since is not null
                          and (paused_until is null or paused_until <= now())) as "endpoints_failing!",
       count(*) filter (where state = 'enabled' and paused_until > now()) as "endpoints_paused!",
       count(*) filter (where state = 'disabled') as "endpoints_disabled!"
from endpoint where deleted_at is null
