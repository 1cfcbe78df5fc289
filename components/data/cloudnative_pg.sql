-- Roles and rights in the product's database when the operator runs it: once, as superuser, at its beginning.
-- Passwords are the operator's to set, from Secrets. The owner is there already.

CREATE ROLE app NOLOGIN;
CREATE ROLE readonly NOLOGIN;
CREATE ROLE maintenance LOGIN CONNECTION LIMIT 5;
GRANT pg_maintain, pg_stat_scan_tables TO maintenance;

-- Logins, three to a group: of the previous, the current and the next epoch of its password. A login becomes its
-- group at once, so that what it makes belongs to the group and outlives the login.
DO $$
DECLARE
    role name;
    epoch int;
BEGIN
    FOREACH role IN ARRAY ARRAY['owner', 'app', 'readonly'] LOOP
        FOR epoch IN 0..2 LOOP
            EXECUTE format('CREATE ROLE %I LOGIN IN ROLE %I', role || '_' || epoch, role);
            EXECUTE format('ALTER ROLE %I SET role = %L', role || '_' || epoch, role);
        END LOOP;
    END LOOP;
    FOR epoch IN 0..2 LOOP
        EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', 'app_' || epoch, '30s');
        EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', 'app_' || epoch, '10s');
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', 'app_' || epoch, '60s');
        EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', 'readonly_' || epoch, '5min');
        EXECUTE format('ALTER ROLE %I SET lock_timeout = %L', 'readonly_' || epoch, '10s');
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = %L', 'readonly_' || epoch, '60s');
        EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', 'readonly_' || epoch);
        EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = 0', 'owner_' || epoch);
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO app', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO readonly, maintenance', current_database());
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO owner', current_database());
END
$$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO owner;
GRANT USAGE ON SCHEMA public TO app, readonly, maintenance;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT USAGE ON SCHEMAS TO app, readonly, maintenance;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON TABLES TO readonly;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT, USAGE ON SEQUENCES TO app;
ALTER DEFAULT PRIVILEGES FOR ROLE owner GRANT SELECT ON SEQUENCES TO readonly;

-- The platform's own, out of the migrations' way.
CREATE SCHEMA platform;
GRANT USAGE ON SCHEMA platform TO owner, app, readonly, maintenance;
CREATE EXTENSION pg_stat_statements SCHEMA platform;
