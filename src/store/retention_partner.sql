-- $1: a partner that is deleted. It stays as long as anything of it is kept that is deleted by age.
with gone as (
    select partner_id from partner
    where partner_id = $1 and deleted_at is not null
      and not exists (select from "order" where partner_id = $1)
      and not exists (select from event where partner_id = $1)
      and not exists (select from delivery where partner_id = $1)
      and not exists (select from endpoint where partner_id = $1)
      and not exists (select from quarantine where partner_id = $1)
      and not exists (select from erasure where partner_id = $1)
), gaps as (
    delete from gap using gone where gap.partner_id = gone.partner_id
), repairs as (
    delete from gap_repair using gone where gap_repair.partner_id = gone.partner_id
), watches as (
    delete from watch using gone where watch.partner_id = gone.partner_id
), recoveries as (
    delete from recovery using gone where recovery.partner_id = gone.partner_id
), leases as (
    delete from endpoint_lease using gone where endpoint_lease.partner_id = gone.partner_id
), tokens as (
    delete from access_token using gone where access_token.partner_id = gone.partner_id
), usage as (
    delete from quarantine_usage using gone where quarantine_usage.partner_id = gone.partner_id
)
delete from partner using gone where partner.partner_id = gone.partner_id
