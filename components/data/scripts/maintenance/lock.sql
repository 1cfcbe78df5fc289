-- One lock, so that backup, vacuum and rebuilds come one after the other; it lasts as long as the session.
--
-- Variables: grace, how many seconds to let the backup go first; patience, how many seconds to wait for the lock.
--
-- Asked again and again, never waited for: a session that waits in `pg_advisory_lock` is a transaction that
-- REINDEX CONCURRENTLY in another session waits for, and each would wait for the other.
\o /dev/null
SELECT :grace > 0 AS backup_first \gset
\if :backup_first
SELECT 1 WHERE NOT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 5432 AND objid = 1 AND objsubid = 2
) \watch interval=1 count=:grace min_rows=1
\endif
SELECT 1 WHERE NOT pg_try_advisory_lock(5432, 1) \watch interval=1 count=:patience min_rows=1
\o
SELECT pg_try_advisory_lock(5432, 1) AS taken \gset
\if :taken
\else
DO $$ BEGIN RAISE EXCEPTION 'the maintenance lock was never free'; END $$;
\endif
