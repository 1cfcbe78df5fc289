"""Cases of the policies about what keeps data."""

from typing import Final

from baseline.model import UNKNOWN, Resource, Value
from tests.policy.cases.builders import (
    CRON_JOB,
    DEPLOYMENT,
    Block,
    Case,
    Kind,
    cases,
    edited,
    labelled,
    pod_case,
    pod_object,
    resource,
    workload,
)

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind

APP: Final = "containers[0]"
CLAIM: Final = "kubernetes:core/v1:PersistentVolumeClaim"
CLUSTER: Final = "kubernetes:postgresql.cnpg.io/v1:Cluster"


def config_map(data: Value, name: str = "config") -> Resource:
    """A ConfigMap."""
    metadata: Block = {"name": name, "namespace": "shop"}
    return resource("kubernetes:core/v1:ConfigMap", {"metadata": metadata, "data": data}, name)


def variables(**values: Value) -> Block:
    """Edits that give a container variables."""
    return {f"{APP}.env": [{"name": name, "value": value} for name, value in values.items()]}


def file_case(kind: Kind, title: str, name: str, text: Value, found: Value = None) -> Case:
    """A case of a settings file."""
    path = f'data["{name}"]'
    return Case(TIERS, kind, title, (config_map({name: text}),), {} if found is None else {path: found})


TIERS: Final = "tls-between-tiers"
POOL = "postgres://app@pool/shop"
BOUNCER = "[databases]\nshop = host=db\n[pgbouncer]\nclient_tls_sslmode = {}\nserver_tls_sslmode = {}\n"
ENCRYPTION = (
    pod_case(
        TIERS,
        PASS,
        "verified",
        variables(DATABASE_URL=f"{POOL}?sslmode=verify-full", REDIS_URL="rediss://cache:6379"),
    ),
    pod_case(
        TIERS,
        PASS,
        "within the pod",
        variables(A="redis://localhost:6379", PGHOST="/run/postgresql", B="postgres:///a?host=/run/b"),
    ),
    pod_case(TIERS, PASS, "PG variables", variables(PGHOST="db", PGSSLMODE="verify-full")),
    pod_case(
        TIERS,
        FAIL,
        "a cache",
        variables(REDIS_URL="redis://:hunter22@cache:6379"),
        {f"{APP}.env[0].value": "redis://cache"},
    ),
    pod_case(
        TIERS,
        FAIL,
        "a database",
        variables(DATABASE_URL=POOL),
        {f"{APP}.env[0].value": "postgres://pool with sslmode=(absent)"},
    ),
    pod_case(
        TIERS,
        FAIL,
        "not verified",
        variables(DATABASE_URL=f"{POOL}?sslmode=require"),
        {f"{APP}.env[0].value": "postgres://pool with sslmode=require"},
    ),
    pod_case(
        TIERS,
        FAIL,
        "PG variables",
        variables(PGHOST="db", PGSSLMODE="prefer"),
        {f"{APP}.env[1].value": "prefer"},
    ),
    Case(
        TIERS,
        FAIL,
        "in a ConfigMap",
        (config_map({"REDIS_URL": "redis://cache:6379"}),),
        {"data.REDIS_URL": "redis://cache"},
    ),
    file_case(PASS, "PostgreSQL", "postgresql.conf", "port = 5432\nssl = on\n"),
    file_case(FAIL, "PostgreSQL", "postgresql.conf", "port = 5432\nssl = off\n", "ssl = off"),
    file_case(
        PASS,
        "who may connect",
        "pg_hba.conf",
        "# all\nhostnossl all all all reject\nhostssl all all all scram-sha-256\n",
    ),
    file_case(
        FAIL,
        "who may connect",
        "pg_hba.conf",
        "local all all peer\nhost all all all scram-sha-256\n",
        "a line host ... scram-sha-256",
    ),
    file_case(PASS, "PgBouncer", "pgbouncer.ini", BOUNCER.format("require", "verify-full")),
    file_case(
        FAIL,
        "PgBouncer's clients",
        "pgbouncer.ini",
        BOUNCER.format("allow", "verify-full"),
        "client_tls_sslmode = allow",
    ),
    file_case(
        FAIL,
        "PgBouncer's server",
        "pgbouncer.ini",
        BOUNCER.format("require", "require"),
        "server_tls_sslmode = require",
    ),
    file_case(PASS, "Valkey", "valkey.conf", "port 0\ntls-port 6379\n"),
    file_case(FAIL, "Valkey", "valkey.conf", "port 6379\nappendonly yes\n", "port 6379"),
    pod_case(
        TIERS, MISSING, "the mode", variables(PGHOST="db"), {f"{APP}.env[0].value without PGSSLMODE": "db"}
    ),
    file_case(MISSING, "the setting", "postgresql.conf", "port = 5432\nlog = a\n", "ssl = None"),
    pod_case(
        TIERS,
        UNKNOWN_VALUE,
        "the mode",
        variables(PGHOST="db", PGSSLMODE=UNKNOWN),
        {f"{APP}.env[1].value": UNKNOWN},
    ),
    pod_case(
        TIERS,
        INIT,
        "a cache",
        {"initContainers[0].env": [{"name": "A", "value": "amqp://queue"}]},
        {"initContainers[0].env[0].value": "amqp://queue"},
    ),
    pod_case(
        TIERS,
        EPHEMERAL,
        "a cache",
        {"ephemeralContainers[0].env": [{"name": "A", "value": "amqp://queue"}]},
        {"ephemeralContainers[0].env[0].value": "amqp://queue"},
    ),
    pod_case(TIERS, NESTED, "a cache", variables(A="amqp://queue"), {f"{APP}.env[0].value": "amqp://queue"}),
)

POSTGRES = config_map({"postgresql.conf": "max_connections = 100\nreserved_connections = 5\n"}, "db")
INI = 'data["pgbouncer.ini"]'


def pooler(most: str, replicas: Value = 2, data: Value = None) -> tuple[Resource, ...]:
    """A pooler's pods, each of which opens so many connections at most."""
    text = f"[databases]\nshop = host=db {most}\n[pgbouncer]\npool_mode = transaction\n"
    volumes: Block = {"volumes": [{"name": "config", "configMap": {"name": "pool"}}]}
    pods = edited(pod_object(DEPLOYMENT, volumes), {"spec.replicas": replicas})
    return (
        POSTGRES,
        config_map({"pgbouncer.ini": text} if data is None else data, "pool"),
        resource(DEPLOYMENT, pods),
    )


AUTOSCALED = labelled(
    "autoscaling/v2:HorizontalPodAutoscaler", {"scaleTargetRef": {"name": "web"}, "maxReplicas": 9}
)
CONNECTIONS = cases(
    "connection-budget",
    (PASS, "three pods of thirty", pooler("max_db_connections=30"), {}),
    (PASS, "no database of the stack's", pooler("")[1:], {}),
    (
        FAIL,
        "three pods of fifty",
        pooler("max_db_connections=50"),
        {INI: "150 connections from all pods of the poolers"},
    ),
    (
        FAIL,
        "an autoscaler's nine",
        (*pooler("max_db_connections=10"), AUTOSCALED),
        {INI: "100 connections from all pods of the poolers"},
    ),
    (MISSING, "the limit", pooler(""), {INI: "a database without max_db_connections"}),
    (UNKNOWN_VALUE, "the file", pooler("", data={"pgbouncer.ini": UNKNOWN}), {INI: UNKNOWN}),
)

OPTION = "options.protect"
PROTECTED = cases(
    "stateful-resources-protected",
    (PASS, "a claim", (resource(CLAIM, {}, protected=True),), {}),
    (PASS, "a StatefulSet whose claims are others'", (workload("kubernetes:apps/v1:StatefulSet"),), {}),
    (FAIL, "a claim", (resource(CLAIM, {}),), {OPTION: False}),
    (FAIL, "a database", (resource(CLUSTER, {}),), {OPTION: False}),
    (
        FAIL,
        "claims of a StatefulSet's own",
        (resource("kubernetes:apps/v1:StatefulSet", {"spec": {"volumeClaimTemplates": [{}]}}),),
        {OPTION: False},
    ),
    (MISSING, "even without a specification", (resource(CLAIM, {"metadata": {}}),), {OPTION: False}),
    (UNKNOWN_VALUE, "manifests say nothing of it", (resource(CLAIM, {}, protected=None),), {OPTION: UNKNOWN}),
)

STORE = "docker.io/valkey/valkey:8"
EXPORTER: Block = {"image": "oliver006/redis_exporter:v1", "ports": [{"containerPort": 9121}]}
EXPORTERS = (
    pod_case("exporter-for-every-store", PASS, "beside it", {"containers": [{"image": STORE}, EXPORTER]}),
    pod_case("exporter-for-every-store", PASS, "no store", {}),
    Case(
        "exporter-for-every-store",
        PASS,
        "a Job keeps nothing",
        (workload(CRON_JOB, {"containers": [{"image": "postgres:17"}]}),),
    ),
    pod_case(
        "exporter-for-every-store",
        FAIL,
        "of another store",
        {"containers": [{"image": "postgres:17"}, EXPORTER]},
        {"containers": [{"image": "postgres:17"}, EXPORTER]},
    ),
    pod_case(
        "exporter-for-every-store",
        FAIL,
        "without a port",
        {"containers": [{"image": STORE}, {"image": "redis_exporter"}]},
        {"containers": [{"image": STORE}, {"image": "redis_exporter"}]},
    ),
    pod_case(
        "exporter-for-every-store",
        MISSING,
        "the exporter",
        {"containers": [{"image": STORE}]},
        {"containers": [{"image": STORE}]},
    ),
    pod_case(
        "exporter-for-every-store",
        UNKNOWN_VALUE,
        "the other image",
        {"containers": [{"image": STORE}, {"image": UNKNOWN}]},
        {"containers": UNKNOWN},
    ),
)

CASES: tuple[Case, ...] = (*ENCRYPTION, *CONNECTIONS, *PROTECTED, *EXPORTERS)
