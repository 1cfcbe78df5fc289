-- What the role `maintenance` needs beyond `pg_maintain`: that may vacuum, analyze and reindex every table, but
-- neither drop an index of somebody else's nor name one in a schema that it may not use.

CREATE SCHEMA IF NOT EXISTS maintenance;
REVOKE ALL ON SCHEMA maintenance FROM PUBLIC;
GRANT USAGE ON SCHEMA maintenance TO maintenance;

-- Measures bloat; reading a table's contents needs more.
CREATE EXTENSION IF NOT EXISTS pgstattuple WITH SCHEMA maintenance;
GRANT EXECUTE ON FUNCTION maintenance.pgstattuple_approx(regclass), maintenance.pgstatindex(regclass) TO maintenance;

-- What an interrupted REINDEX CONCURRENTLY leaves: an index that is written to and never read.
-- Source: https://www.postgresql.org/docs/17/sql-reindex.html#SQL-REINDEX-CONCURRENTLY
CREATE OR REPLACE VIEW maintenance.leftovers AS
SELECT pg_class.oid, pg_class.oid::regclass::text AS name
FROM pg_index
JOIN pg_class ON pg_class.oid = pg_index.indexrelid
WHERE NOT pg_index.indisvalid AND pg_class.relname ~ '_cc(new|old)[0-9]*$';
GRANT SELECT ON maintenance.leftovers TO maintenance;

-- Drops one of them and nothing else, and gives its name; null when there is none of that number. It needs the table
-- for itself for a moment, and gives up rather than make users wait.
CREATE OR REPLACE FUNCTION maintenance.drop_leftover(leftover oid) RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '1s'
AS $$
DECLARE
    named text;
BEGIN
    SELECT name INTO named FROM maintenance.leftovers WHERE oid = leftover;
    IF named IS NOT NULL THEN
        EXECUTE 'DROP INDEX ' || named;
    END IF;
    RETURN named;
END
$$;

-- Lets the role name indexes in every schema, those that a migration has made since too; it reads no row by that.
CREATE OR REPLACE FUNCTION maintenance.admit() RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    namespace name;
BEGIN
    FOR namespace IN
        SELECT nspname FROM pg_namespace
        WHERE nspname !~ '^pg_(toast_)?temp_' AND NOT has_schema_privilege('maintenance', oid, 'USAGE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO maintenance', namespace);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION maintenance.drop_leftover(oid), maintenance.admit() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION maintenance.drop_leftover(oid), maintenance.admit() TO maintenance;
