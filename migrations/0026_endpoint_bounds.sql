-- How many endpoints a partner may have. Null: as many as the installation says. A process of the version before does not
-- look at it.
alter table partner add column max_endpoints integer
    constraint partner_max_endpoints_range check (max_endpoints between 1 and 1000000);

-- Counts those that are there, however many were deleted.
create index endpoint_not_deleted on endpoint (partner_id, endpoint_id) where deleted_at is null;
