-- As gently as autovacuum does it. A table is one transaction: what was done stays done, however this ends.
SET vacuum_cost_delay = '2ms';
SELECT clock_timestamp() AS began, coalesce(sum(n_dead_tup), 0) AS dead FROM pg_stat_user_tables \gset
VACUUM (ANALYZE, SKIP_LOCKED);
SELECT json_build_object(
    'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'level', 'info',
    'job', 'vacuum',
    'event', 'finished',
    'seconds', round(extract(epoch FROM clock_timestamp() - :'began'::timestamptz), 1),
    'tables', count(*),
    'left_out', coalesce(json_agg(relid::regclass) FILTER (WHERE last_vacuum >= :'began' IS NOT TRUE), '[]'),
    'dead_rows_before', :dead,
    'dead_rows_after', coalesce(sum(n_dead_tup), 0)
)
FROM pg_stat_user_tables;
