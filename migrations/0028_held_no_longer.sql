-- What is held for a disabled endpoint is given up after a time (RELAY_HELD_DAYS).
--
-- A process of the version before disables endpoints without saying when: maintenance notes the time at which it sees that,
-- so that nothing is given up early.
alter table endpoint add column disabled_at timestamptz;

-- Why it was given up, if not because its own attempts failed.
alter table delivery add column reason text;
