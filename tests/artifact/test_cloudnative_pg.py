"""The database by the operator: what is written for it is what its definitions know, and PostgreSQL takes the SQL."""

import json
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pulumi
import pytest

from components.base import Identity
from components.data import cloudnative_pg_config, postgres_config
from components.data.cloudnative_pg import CloudNativeDatabase, CloudNativeDatabaseArgs
from components.network import Addresses
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from settings import parameters
from simulator.faults import MACHINE, Fault
from simulator.programs.definitions import CLOUDNATIVE_PG, definitions
from tests.artifact.plain_postgres import Postgres
from tests.recorder import ROOT, Recording, is_pulumi_secret, record

NAMESPACE = "fixia-data"
POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ROLES = (*postgres_config.GROUPS, "maintenance")
EPOCH = 4


def credential(role: str) -> Credential:
    return Credential(
        current=pulumi.Output.secret(f"{role} now"),
        accepted={when: pulumi.Output.secret(f"{role} {when}") for when in ("previous", "next")},
        epoch=EPOCH,
    )


def args(**changes: Any) -> CloudNativeDatabaseArgs:
    identity = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")
    given: dict[str, Any] = {
        "identity": identity,
        "namespace": NAMESPACE,
        "image": "registry.example/postgresql:17.6",
        "resources": Resources(cpu="2", memory="4Gi", memory_limit="4Gi"),
        "storage": "50Gi",
        "credentials": {role: credential(role) for role in ROLES},
        "authority": Authority("authority", AuthorityArgs(identity=identity)),
        "pool_image": "registry.example/pgbouncer:1.24.1",
        "pool_resources": Resources(cpu="100m", memory="64Mi", memory_limit="128Mi"),
        "budget": 20,
        "api_server": Addresses(name="api-server", cidrs={"10.0.0.1/32": []}, port=443),
        "storage_class": "fast",
        "priority_class": "critical",
    }
    return CloudNativeDatabaseArgs(**{**given, **changes})


def recorded(**changes: Any) -> Recording:
    return record(lambda: CloudNativeDatabase("database", args(**changes)) and None)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return recorded()


def custom(recording: Recording, kind: str) -> dict[str, Any]:
    (found,) = recording.of_type(f"kubernetes:postgresql.cnpg.io/v1:{kind}")
    return found.inputs


@pytest.fixture(scope="module")
def schemas() -> dict[str, dict[str, Any]]:
    """The operator's definitions, by kind; a field that they do not know is a fault, and not dropped."""
    try:
        found = definitions(CLOUDNATIVE_PG)
    except Fault as fault:
        if fault.exit_code == MACHINE:
            pytest.skip(str(fault))
        raise
    return {
        each["spec"]["names"]["kind"]: strict(version["schema"]["openAPIV3Schema"])
        for each in found
        for version in each["spec"]["versions"]
        if version["name"] == "v1"
    }


def strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
        made.pop("anyOf", None)
    elif isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        # A definition says nothing of metadata: the API server knows it.
        made.setdefault("additionalProperties", not schema["properties"])
    return made


def problems(schema: dict[str, Any], manifest: dict[str, Any]) -> list[str]:
    spec = {"properties": {"spec": schema["properties"]["spec"]}, "required": ["spec"]}
    found = jsonschema.Draft202012Validator(spec).iter_errors({"spec": manifest["spec"]})
    return [f"{each.json_path}: {each.message}" for each in found]


@pytest.mark.parametrize("instances", [1, 3])
@pytest.mark.parametrize("kind", ["Cluster", "Pooler"])
def test_the_operators_definitions_know_all_that_is_written(
    schemas: dict[str, dict[str, Any]], kind: str, instances: int
) -> None:
    changes = {"storage_class": None, "priority_class": None} if instances == 1 else {}
    manifest = custom(recorded(instances=instances, **changes), kind)
    assert problems(schemas[kind], manifest) == []
    manifest["spec"]["instanes"] = 2
    assert len(problems(schemas[kind], manifest)) == 1


def test_superusers_have_no_password_and_everybody_else_needs_tls(recording: Recording) -> None:
    spec = custom(recording, "Cluster")["spec"]
    assert spec["enableSuperuserAccess"] is False
    assert spec["postgresql"]["pg_hba"] == ["hostssl fixia all all scram-sha-256", "host all all all reject"]
    assert spec["certificates"] == {"serverTLSSecret": "database-tls", "serverCASecret": "database-tls"}
    assert spec["monitoring"]["enablePodMonitor"] is False


def test_it_is_called_by_the_names_that_callers_know(recording: Recording) -> None:
    services = custom(recording, "Cluster")["spec"]["managed"]["services"]["additional"]
    called = {each["serviceTemplate"]["metadata"]["name"]: each["selectorType"] for each in services}
    assert called == {"database": "rw", "database-read": "ro"}
    assert custom(recording, "Pooler")["metadata"]["name"] == "pool"
    (certificate,) = [
        each.inputs["spec"]
        for each in recording.of_type("kubernetes:cert-manager.io/v1:Certificate")
        if each.name == "database-certificate"
    ]
    for service in ("database", "database-rw", "database-read", "pool"):
        assert {service, f"{service}.fixia-data", f"{service}.fixia-data.svc"} <= set(certificate["dnsNames"])
    # Without it a renewal would wait for somebody to ask for it.
    assert certificate["secretTemplate"]["labels"]["cnpg.io/reload"] == "true"


def test_callers_are_told_the_same_as_of_our_own() -> None:
    made: list[CloudNativeDatabase] = []
    record(lambda: made.append(CloudNativeDatabase("database", args())))
    (database,) = made
    assert database.endpoint.config["PGUSER"] == "owner_1"
    assert database.pool_endpoint.config["PGUSER"] == "app_1"
    assert database.read_endpoint.config["PGUSER"] == "readonly_1"
    assert database.called_as("maintenance").config["PGUSER"] == "maintenance"
    for endpoint in (database.endpoint, database.pool_endpoint, database.read_endpoint):
        assert set(endpoint.config) == {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLROOTCERT"}
        assert set(endpoint.credentials) == {"pgpassword"}
        assert endpoint.encrypted
    assert (database.metrics.port, database.pool_metrics.port) == (9187, 9127)
    assert database.endpoint.pods != database.pool_endpoint.pods


def test_each_login_has_its_epochs_password(recording: Recording) -> None:
    roles = {role["name"]: role for role in custom(recording, "Cluster")["spec"]["managed"]["roles"]}
    assert set(roles) == {
        *postgres_config.GROUPS,
        *(f"{group}_{epoch}" for group in postgres_config.GROUPS for epoch in range(3)),
        "maintenance",
    }
    assert all(roles[group]["login"] is False for group in postgres_config.GROUPS)
    secrets = {secret.name: secret.inputs for secret in recording.of_type("kubernetes:core/v1:Secret")}
    for login, when in (("app_1", "now"), ("app_0", "previous"), ("app_2", "next")):
        secret = secrets[f"database-{login.replace('_', '-')}"]
        written = (
            secret["stringData"]["value"] if is_pulumi_secret(secret["stringData"]) else secret["stringData"]
        )
        password = written["password"]
        assert (password["value"] if isinstance(password, dict) else password) == f"app {when}"
        assert secret["type"] == "kubernetes.io/basic-auth"
        assert secret["metadata"]["labels"]["cnpg.io/reload"] == "true"
        assert roles[login]["inRoles"] == ["app"]
    told = [each.name for each in recording.all.values() if "app now" in json.dumps(each.inputs)]
    assert told == ["database-app-1"]


def test_a_release_waits_until_the_operator_is_done(recording: Recording) -> None:
    waits = {kind: custom(recording, kind)["metadata"]["annotations"] for kind in ("Cluster", "Pooler")}
    assert waits["Cluster"] == {"pulumi.com/waitFor": "condition=Ready"}
    assert waits["Pooler"] == {"pulumi.com/waitFor": "jsonpath={.status.instances}=2"}


def test_the_nightly_role_keeps_its_limit(recording: Recording) -> None:
    roles = {role["name"]: role for role in custom(recording, "Cluster")["spec"]["managed"]["roles"]}
    limit = re.search(
        r"CREATE ROLE maintenance LOGIN CONNECTION LIMIT (\d+)", cloudnative_pg_config.sql()["roles.sql"]
    )
    assert limit is not None
    assert roles["maintenance"]["connectionLimit"] == int(limit[1])


def test_what_makes_an_instance_gets_through_too(recording: Recording) -> None:
    """The pods of the operator's jobs are none of the instances', by their labels."""
    policies = {each.name: each.inputs["spec"] for each in recording.of_type(POLICY)}
    api_server = [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    for job, callees in (("initdb", 1), ("join", 2)):
        spec = policies[f"database-{job}-egress"]
        labels = {"cnpg.io/cluster": "database", "cnpg.io/jobRole": job}
        assert spec["podSelector"]["matchLabels"] == labels
        assert len(spec["egress"]) == callees
        assert spec["egress"][-1]["to"] == api_server
    (peer,) = policies["database-join-to-database"]["ingress"][0]["from"]
    assert peer["podSelector"]["matchLabels"]["cnpg.io/jobRole"] == "join"
    assert "database-initdb-to-database" not in policies


def test_the_pools_image_and_confinement_are_said(recording: Recording) -> None:
    (container,) = custom(recording, "Pooler")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/pgbouncer:1.24.1"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_nothing_is_set_that_the_operator_sets(recording: Recording) -> None:
    parameters = custom(recording, "Cluster")["spec"]["postgresql"]["parameters"]
    assert parameters.keys().isdisjoint(cloudnative_pg_config.OPERATORS)
    assert (parameters["shared_buffers"], parameters["log_min_duration_statement"]) == ("1024MB", "500ms")
    assert parameters["pg_stat_statements.max"] == "5000"
    pool = custom(recording, "Pooler")["spec"]["pgbouncer"]["parameters"]
    assert set(pool) == cloudnative_pg_config.POOLERS
    assert int(pool["max_db_connections"]) * 4 <= 20
    assert pool["server_tls_sslmode"] == "verify-full"


@pytest.mark.parametrize("protect", [True, False])
def test_the_cluster_is_protected(protect: bool) -> None:
    of_type = recorded(protect=protect).of_type
    assert of_type("kubernetes:postgresql.cnpg.io/v1:Cluster")[0].options["protect"] is protect


def test_a_missing_password_is_named() -> None:
    with pytest.raises(ValueError, match="the database needs a password for: maintenance"):
        recorded(credentials={role: credential(role) for role in postgres_config.GROUPS})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    folder: Path = tmp_path_factory.mktemp("postgres")
    with Postgres(folder).serving() as serving:
        serving.sql("CREATE ROLE owner LOGIN", "ALTER DATABASE fixia OWNER TO owner")
        # One statement each, as the operator sends them: no psql is between.
        serving.sql(*cloudnative_pg_config.sql().values())
        yield serving


def test_postgresql_takes_the_sql_and_the_roles_can_what_they_should(server: Postgres) -> None:
    server.sql("CREATE TABLE orders (id int)", user="owner_2")
    assert server.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'orders'") == ["owner"]
    server.sql("INSERT INTO orders VALUES (1)", user="app_0")
    assert server.sql("SELECT id FROM orders", user="readonly_1") == ["1"]
    assert server.psql("INSERT INTO orders VALUES (2)", user="readonly_1")[0]
    assert server.psql("CREATE TABLE mine ()", user="app_0")[0]
    server.sql("VACUUM orders", "SELECT maintenance.admit()", user="maintenance")
    assert server.psql("SELECT * FROM orders", user="maintenance")[0]


def test_its_roles_have_the_timeouts_of_our_own(server: Postgres) -> None:
    ours = (ROOT / "images/postgres/rootfs/usr/share/database/10-roles.sql").read_text()
    wanted = {
        (role, f"{name}={value}")
        for role, name, value in re.findall(r"\('(\w+)', '(\w+)', '([^']*)'\)", ours)
        # The owner's are what PostgreSQL has anyway.
        if (role, name) not in {("owner", "statement_timeout"), ("owner", "lock_timeout")}
    }
    assert len(wanted) > 5
    rows = server.sql(
        "SELECT rolname || '|' || unnest(setconfig) FROM pg_db_role_setting "
        "JOIN pg_roles ON pg_roles.oid = setrole"
    )
    found = {tuple(row.split("|", 1)) for row in rows}
    assert {(f"{role}_{epoch}", setting) for role, setting in wanted for epoch in range(3)} <= found


def test_the_bounds_of_parameters_are_postgresqls_own(server: Postgres) -> None:
    server.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements SCHEMA platform")
    told = server.sql(
        "SELECT name, vartype, coalesce(unit, ''), coalesce(min_val, ''), coalesce(max_val, ''), enumvals "
        "FROM pg_settings"
    )
    rows = [row.split("|") for row in told if row.split("|")[0] in postgres_config.ALLOWED]
    assert {row[0] for row in rows} == postgres_config.ALLOWED
    for name, kind, unit, lowest, highest, choices in rows:
        if kind in ("bool", "enum"):
            assert parameters.CHOICES[name] == (
                tuple(choices.strip("{}").split(",")) if choices else ("on", "off")
            )
            continue
        number = parameters.NUMBERS[name]
        assert (name in parameters.FRACTIONS) is (kind == "real")
        assert bool(number.units) is bool(unit)
        if unit:
            amount, called = re.fullmatch(r"(\d*)(\w+)", unit).groups()  # type: ignore[union-attr]
            assert number.unit == int(amount or 1) * number.units[called]
        # The log's least is two segments, which only the start tells.
        assert number.lowest == max(float(lowest), 32 if name in ("max_wal_size", "min_wal_size") else -1)
        assert number.highest == min(float(highest), 2**31 - 1)


def test_what_the_settings_take_postgresql_takes(server: Postgres) -> None:
    """Each parameter at its least and its most, in every unit that it may be written in."""
    for name, number in parameters.NUMBERS.items():
        for value in (str(number.lowest), str(number.highest)):
            assert parameters.valid_instead(name, value) is None
        for unit in number.units:
            size = number.unit / Decimal(number.units[unit])
            value = f"{max(1, math.ceil(max(number.lowest, 1) * size))}{unit}"
            taken = parameters.valid_instead(name, value) is None
            code, said = server.psql(f"ALTER SYSTEM SET {name} = '{value}'")
            assert (code == 0) is taken or name in ("max_wal_size", "min_wal_size"), (name, value, said)
            server.sql(f"ALTER SYSTEM RESET {name}")
