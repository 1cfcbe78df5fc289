-- Who may log in, and what for. Passwords are set elsewhere: see roles.sh.

-- PostgreSQL has no CREATE ROLE IF NOT EXISTS.
SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY[
    'owner', 'app', 'readonly', 'pooler', 'exporter', 'backup', 'replicator', 'maintenance',
    'owner_0', 'owner_1', 'owner_2', 'app_0', 'app_1', 'app_2', 'readonly_0', 'readonly_1', 'readonly_2'
]) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- Groups: whom objects belong to, and to whom rights are given. Nobody logs in as one.
ALTER ROLE owner NOLOGIN;
ALTER ROLE app NOLOGIN;
ALTER ROLE readonly NOLOGIN;

-- Logins, three to a group: of the previous, the current and the next epoch of its password. A login becomes its
-- group at once, so that what it makes belongs to the group and outlives the login.
SELECT format(statement, member, role)
FROM unnest(ARRAY['owner', 'app', 'readonly']) AS role,
    LATERAL (SELECT role || '_' || epoch AS member FROM generate_series(0, 2) AS epoch) AS members,
    unnest(ARRAY['ALTER ROLE %1$I LOGIN', 'GRANT %2$I TO %1$I', 'ALTER ROLE %1$I SET role = %2$L']) AS statement
ORDER BY member, statement \gexec

-- Times after which a session is in everybody's way. Of a login, because PostgreSQL does not look at its groups.
SELECT format('ALTER ROLE %I_%s SET %I = %L', role, epoch, name, value)
FROM generate_series(0, 2) AS epoch, (VALUES
    -- No page waits longer, and a query that nobody waits for only takes from the others.
    ('app', 'statement_timeout', '30s'),
    -- Behind a migration that waits for a lock itself, every connection would pile up.
    ('app', 'lock_timeout', '10s'),
    -- An open transaction keeps its locks, and VACUUM from all that died since.
    ('app', 'idle_in_transaction_session_timeout', '60s'),
    ('readonly', 'statement_timeout', '5min'),
    ('readonly', 'lock_timeout', '10s'),
    ('readonly', 'idle_in_transaction_session_timeout', '60s'),
    ('readonly', 'default_transaction_read_only', 'on'),
    -- Migrations take the time they take, and bound the locks that they wait for by themselves.
    ('owner', 'statement_timeout', '0'),
    ('owner', 'lock_timeout', '0'),
    ('owner', 'idle_in_transaction_session_timeout', '0')
) AS timeouts (role, name, value) \gexec

-- The pooler asks for one user's verifier, many times a minute: see pooler.sql.
ALTER ROLE pooler LOGIN CONNECTION LIMIT 10;
ALTER ROLE pooler SET statement_timeout = '5s';

-- The exporter reads statistics, also when all other connections are taken.
ALTER ROLE exporter LOGIN CONNECTION LIMIT 5;
ALTER ROLE exporter SET statement_timeout = '10s';
ALTER ROLE exporter SET search_path = platform, pg_catalog;
GRANT pg_monitor, pg_use_reserved_connections TO exporter;

-- Backups: to begin and end one, and to see where the files are; the files themselves need no login. And dumps, which
-- read every row, whomever it is hidden from.
ALTER ROLE backup LOGIN BYPASSRLS CONNECTION LIMIT 8;
GRANT pg_read_all_settings, pg_read_all_data, pg_use_reserved_connections TO backup;

-- Standbys: the whole stream, and no table by name.
ALTER ROLE replicator LOGIN REPLICATION;

-- VACUUM, ANALYZE and REINDEX on every table without owning one, and the statistics that say where.
ALTER ROLE maintenance LOGIN CONNECTION LIMIT 5;
GRANT pg_maintain, pg_stat_scan_tables TO maintenance;
