-- One row that says when the database was last written to, to the minute. Without it an idle database makes no
-- WAL, and nobody could tell a quiet hour from an hour whose WAL was lost: a restore shows by it how much it has.

CREATE TABLE IF NOT EXISTS platform.heartbeat (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    beaten_at timestamptz NOT NULL,
    beats bigint NOT NULL
);
GRANT SELECT ON platform.heartbeat TO owner, app, readonly, exporter, backup, maintenance;

CREATE OR REPLACE FUNCTION platform.beat() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO platform.heartbeat AS heartbeat (beaten_at, beats) VALUES (clock_timestamp(), 1)
    ON CONFLICT (one) DO UPDATE SET beaten_at = excluded.beaten_at, beats = heartbeat.beats + 1
$$;
REVOKE ALL ON FUNCTION platform.beat() FROM PUBLIC;
