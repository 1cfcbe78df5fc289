"""The database by the operator: what is written for it is what its definitions know, and PostgreSQL takes the SQL."""

import json
from collections.abc import Iterator
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
from simulator.faults import MACHINE, Fault
from simulator.programs.definitions import CLOUDNATIVE_PG, definitions
from tests.artifact.plain_postgres import Postgres
from tests.recorder import Recording, is_pulumi_secret, record

NAMESPACE = "fixia-data"
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
