-- The indexes to rebuild. A rebuilt index has a new number, higher than all: what a short night has left out comes
-- first the next time. The system's own can't be rebuilt beside users, nor can those of exclusion constraints.
SELECT maintenance.admit() \g /dev/null
SELECT index.oid
FROM pg_index
JOIN pg_class AS index ON index.oid = pg_index.indexrelid
WHERE pg_index.indrelid >= 16384
    AND pg_index.indisvalid
    AND NOT pg_index.indisexclusion
    AND index.relkind = 'i'
    AND index.relpersistence <> 't'
ORDER BY index.oid;
