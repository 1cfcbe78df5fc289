-- Variables: index, its number. One that was dropped meanwhile is no fault.
SELECT format('%s', oid::regclass) AS name, pg_relation_size(oid) AS bytes, clock_timestamp() AS began
FROM pg_class WHERE oid = :index \gset
\if :{?name}
SELECT format('REINDEX INDEX CONCURRENTLY %s', :'name') \gexec
SELECT json_build_object(
    'time', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    'level', 'info',
    'job', 'reindex',
    'event', 'rebuilt',
    'index', :'name',
    'seconds', round(extract(epoch FROM clock_timestamp() - :'began'::timestamptz), 1),
    'bytes_before', :bytes,
    'bytes_after', pg_relation_size(:'name'::regclass)
);
\endif
