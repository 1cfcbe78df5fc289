-- What PgBouncer asks for the verifier of who logs in, so that it needs no list of users: a new login, or a new
-- password, is good at once.
CREATE SCHEMA IF NOT EXISTS pooler;
REVOKE ALL ON SCHEMA pooler FROM PUBLIC;

-- With the rights of its owner, a superuser: nobody else reads verifiers. So names are looked up in the catalog
-- alone, where no caller can put one of its own, and it tells of nobody through whom more could be had than a
-- product's login may: a login that is in PgBouncer's memory is one that a fault of PgBouncer's could show.
CREATE OR REPLACE FUNCTION pooler.user_lookup(wanted text, OUT usename name, OUT passwd text)
    RETURNS SETOF record
    -- Not SQL, which would be parsed and planned anew for every login: a third of what a login costs PostgreSQL.
    LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    ROWS 1
AS $$
BEGIN
    RETURN QUERY
    SELECT rolname, rolpassword
    FROM pg_catalog.pg_authid
    WHERE rolname = wanted::name
      AND rolcanlogin
      AND (rolvaliduntil IS NULL OR rolvaliduntil > pg_catalog.now())
      AND NOT (rolsuper OR rolreplication OR rolbypassrls OR rolcreaterole)
      -- Migrations go to PostgreSQL itself.
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_auth_members AS membership
          JOIN pg_catalog.pg_roles AS called ON called.oid = membership.roleid
          WHERE called.rolname = 'owner' AND membership.member = pg_authid.oid
      );
END
$$;

REVOKE ALL ON FUNCTION pooler.user_lookup(text) FROM PUBLIC;

GRANT USAGE ON SCHEMA pooler TO pooler;
GRANT EXECUTE ON FUNCTION pooler.user_lookup(text) TO pooler;
