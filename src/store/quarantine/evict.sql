-- Makes room among a partner's strangers: $2 messages and $3 bytes of them stay. First goes what no token can cure, then
-- the oldest.
delete from quarantine where quarantine_id in (
    select quarantine_id from (
        select quarantine_id, count(*) over better as messages, sum(octet_length(raw)) over better as bytes
        from quarantine
        where (partner_id = $1::uuid or (partner_id is null and $1::uuid is null)) and stranger
        window better as (order by code in ('no_token', 'no_token_fits') desc, quarantine_id desc)
    ) as ranked
    where messages > $2::bigint or bytes > $3::bigint
)
