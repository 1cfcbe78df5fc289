-- What each role may do in the product's database; nobody may do anything by default.

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
-- Schemas and trusted extensions are the migrations' to make; the database itself is not theirs to drop.
GRANT CONNECT, CREATE, TEMPORARY ON DATABASE :"database" TO owner;
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO app;
GRANT CONNECT ON DATABASE :"database" TO readonly, pooler, exporter, backup, maintenance;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO owner;
GRANT USAGE ON SCHEMA public TO app, readonly, maintenance;

-- For what `owner` makes from now on, here and in schemas of its own. What it takes away again stays away:
-- nothing is granted anew on what is there.
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT USAGE ON SCHEMAS TO app, readonly, maintenance;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON TABLES TO readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT, USAGE ON SEQUENCES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON SEQUENCES TO readonly;

-- The platform's own: statistics and the heartbeat, out of the migrations' way.
CREATE SCHEMA IF NOT EXISTS platform;
GRANT USAGE ON SCHEMA platform TO owner, app, readonly, exporter, backup, maintenance;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA platform;
ALTER EXTENSION pg_stat_statements UPDATE;

GRANT EXECUTE ON FUNCTION
    pg_backup_start(text, boolean), pg_backup_stop(boolean), pg_create_restore_point(text), pg_switch_wal()
TO backup;
