-- What grows, what is in vain, what comes near its end: a line of JSON for each finding.
\set line 'SELECT json_build_object(''level'', ''info'', ''job'', ''report'', ''event'', '

-- How near the whole server is to the end of transaction numbers (2 billion; autovacuum begins at 200 million).
:line 'wraparound', 'database', datname, 'transactions', age(datfrozenxid), 'multixacts', mxid_age(datminmxid),
    'bytes', CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) END)
FROM pg_database WHERE datallowconn ORDER BY age(datfrozenxid) DESC;

:line 'biggest_table', 'table', relid::regclass, 'bytes', pg_total_relation_size(relid),
    'index_bytes', pg_indexes_size(relid), 'rows', n_live_tup, 'dead_rows', n_dead_tup,
    'last_vacuum', greatest(last_vacuum, last_autovacuum), 'sequential_scans', seq_scan)
FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC LIMIT 20;

-- Measured, not estimated. Tables of which most pages are all-visible are cheap; indexes are read whole.
:line 'table_bloat', 'table', relid::regclass, 'bytes', approx.table_len,
    'free_percent', round(approx.approx_free_percent), 'dead_percent', round(approx.dead_tuple_percent))
FROM (
    SELECT relid FROM pg_stat_user_tables
    WHERE pg_relation_size(relid) > 2 ^ 20 ORDER BY pg_relation_size(relid) DESC LIMIT 50
) AS big
CROSS JOIN LATERAL maintenance.pgstattuple_approx(relid) AS approx
WHERE approx.approx_free_percent + approx.dead_tuple_percent > 30
ORDER BY approx.table_len DESC;

-- A fresh index is 90 % full.
:line 'index_bloat', 'index', oid::regclass, 'bytes', tree.index_size,
    'leaf_density_percent', round(tree.avg_leaf_density::numeric), 'empty_pages', tree.empty_pages + tree.deleted_pages)
FROM (
    SELECT index.oid FROM pg_class AS index
    JOIN pg_am ON pg_am.oid = index.relam AND pg_am.amname = 'btree'
    JOIN pg_index ON pg_index.indexrelid = index.oid AND pg_index.indisvalid
    WHERE index.relkind = 'i' AND index.relpersistence = 'p' AND pg_index.indrelid >= 16384
        AND pg_relation_size(index.oid) > 2 ^ 20
    ORDER BY pg_relation_size(index.oid) DESC LIMIT 50
) AS big
CROSS JOIN LATERAL maintenance.pgstatindex(oid::regclass) AS tree
WHERE tree.avg_leaf_density < 60
ORDER BY tree.index_size DESC;

-- Each costs every write. Not those that hold a constraint. A standby counts its own scans: look there too.
:line 'unused_index', 'index', stat.indexrelid::regclass, 'table', stat.relid::regclass,
    'bytes', pg_relation_size(stat.indexrelid), 'counted_since', pg_stat_database.stats_reset)
FROM pg_stat_user_indexes AS stat
JOIN pg_index USING (indexrelid)
JOIN pg_stat_database ON pg_stat_database.datname = current_database()
WHERE stat.idx_scan = 0 AND NOT pg_index.indisunique AND NOT pg_index.indisexclusion
ORDER BY pg_relation_size(stat.indexrelid) DESC;

-- The same columns in the same way over the same rows: all but the first are in vain.
:line 'duplicate_indexes', 'table', indrelid::regclass, 'indexes', json_agg(indexrelid::regclass ORDER BY indexrelid),
    'bytes', sum(pg_relation_size(indexrelid)))
FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid >= 16384 AND indisvalid
GROUP BY indrelid, relam, indnkeyatts, indkey, indclass, indcollation, indoption,
    pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid)
HAVING count(*) > 1;

-- What a migration's CREATE INDEX CONCURRENTLY left when it failed: written to, and never read.
:line 'invalid_index', 'index', indexrelid::regclass, 'table', indrelid::regclass)
FROM pg_index WHERE NOT indisvalid;
