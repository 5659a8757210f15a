-- A repair goes on where its process died, and a gap begins where hearing was last proven.

-- Gaps that are read together, known by the first of them, and how far they were read: so many windows of days, and so
-- many orders of the next one.
alter table gap add column repair_id uuid;
alter table gap add column repair_window integer not null default 0;
alter table gap add column repair_skip integer not null default 0;
alter table gap add constraint gap_repair_position check (repair_window >= 0 and repair_skip >= 0);

-- Everything that was heard until then is committed or on disk.
alter table listener add column proven_at timestamptz not null default now();
