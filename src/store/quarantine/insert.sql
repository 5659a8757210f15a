-- Inserts a message unless its room is used up; one that is already here is counted in any case. What a stranger sent first
-- leaves the strangers' room when it is also heard from where strangers are not.
with room as (
    select $2::uuid as partner_id, $8::bytea as fingerprint
    where not exists (
        select from quarantine_usage as used
        where (used.partner_id = $2::uuid or (used.partner_id is null and $2::uuid is null))
          and used.stranger = $16::boolean
          and (used.messages >= $11::bigint or used.bytes + octet_length($7::bytea) > $12::bigint)
    ) or exists (
        select from quarantine as same
        where (same.partner_id = $2::uuid or (same.partner_id is null and $2::uuid is null))
          and same.fingerprint = $8::bytea
    )
)
insert into quarantine (quarantine_id, partner_id, source, channel, event, reason, raw, fingerprint, received_at,
    form, hops, code, tried_generation, last_at)
select $1::uuid, partner_id, $3::event_source, $4::text, $5::text, $6::text, $7::bytea, fingerprint, $9::timestamptz,
    $10::text, $13::smallint, $14::quarantine_reason, $15::bigint, $9::timestamptz
from room
on conflict (partner_id, fingerprint) do update set times = quarantine.times + 1,
    source = case when quarantine.stranger and not excluded.stranger then excluded.source else quarantine.source end,
    channel = coalesce(quarantine.channel, excluded.channel), event = coalesce(quarantine.event, excluded.event),
    -- Who knew more tokens knows better why.
    reason = case when excluded.tried_generation < quarantine.tried_generation then quarantine.reason
                  else excluded.reason end,
    code = case when excluded.tried_generation < quarantine.tried_generation then quarantine.code
                else excluded.code end,
    form = excluded.form, hops = greatest(quarantine.hops, excluded.hops),
    tried_generation = greatest(quarantine.tried_generation, excluded.tried_generation),
    last_at = greatest(quarantine.last_at, excluded.last_at)
