-- Drops what interrupted rebuilds have left, one by one. A rebuild that is still going on, by somebody's hand, holds
-- a lock on its own: then the drop gives up after a second, and that one is told and stays.
--
-- Variables: strict, whether it is a failure when any is still there.
SELECT count(*) AS leftovers FROM maintenance.leftovers \gset
\set ON_ERROR_STOP 0
SELECT format($$
    SELECT json_build_object(
        'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'level', 'warning',
        'job', 'reindex',
        'event', 'leftover_dropped',
        'index', dropped
    )
    FROM maintenance.drop_leftover(%s) AS dropped
$$, oid)
FROM maintenance.leftovers \gexec
\set ON_ERROR_STOP 1
\if :strict
DO $$
BEGIN
    IF EXISTS (SELECT FROM maintenance.leftovers) THEN
        RAISE EXCEPTION 'there is still what a rebuild has left: %',
            (SELECT string_agg(name, ', ') FROM maintenance.leftovers);
    END IF;
END
$$;
\endif
