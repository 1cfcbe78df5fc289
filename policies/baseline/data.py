"""What keeps data: encrypted on the way, within its connections, protected, and watched."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_policy import Severity

from baseline.files import File, files, sections, settings, whole
from baseline.frameworks import kubernetes, soc2
from baseline.images import parse
from baseline.manifests import DATABASE_CLUSTER, Manifest, Pod, has_pods, has_pods_of, is_kind, manifests
from baseline.model import UNKNOWN, Policy, Resource, Unknown, Violation
from baseline.selectors import namespace_of
from baseline.subjects import Item, ObjectPolicy, ObjectsPolicy, PlainPolicy, PodPolicy
from baseline.tree import Node, must_be

_VERIFIED: Final = ("verify-ca", "verify-full")
_LOCAL: Final = re.compile(r"^(localhost|127\.|\[?::1\]?|/|$)")

_PLAIN_SCHEMES: Final = ("redis", "valkey", "amqp", "mqtt", "memcached", "nats", "ldap", "smtp", "ftp")
_URL: Final = re.compile(
    r"^(?P<scheme>[a-z][a-z0-9+]*)://(?:[^@/\s]*@)?(?P<host>\[[^\]]*\]|[^:/?\s,]*)(?P<rest>\S*)$"
)
_DATABASE_SCHEMES: Final = ("postgres", "postgresql", "mysql", "mongodb")
_OTHERS_TLS: Final = re.compile(r"[?&](tls|ssl|ssl-mode)=(true|VERIFY_IDENTITY|VERIFY_CA)")

_ENCRYPTED: Final = "encrypted, and the other side verified"


def _url(node: Node) -> Iterator[Violation]:
    """Look at a value that may be a connection's URL; what comes before its host may be secret."""
    match = _URL.match(node.value.strip()) if isinstance(node.value, str) else None
    if match is None:
        return
    scheme, host, rest = match["scheme"], match["host"], match["rest"]
    if _LOCAL.match(host) or "host=/" in rest:
        return  # It does not leave the pod.
    mode = re.search(r"[?&]sslmode=([\w-]+)", rest)
    if scheme in _PLAIN_SCHEMES:
        yield Violation(node.path, f"{scheme}://{host}", f"{scheme}s://..., {_ENCRYPTED}")
    elif scheme in _DATABASE_SCHEMES and not (mode and mode[1] in _VERIFIED) and not _OTHERS_TLS.search(rest):
        found = f"{scheme}://{host} with sslmode={mode[1] if mode else '(absent)'}"
        yield Violation(node.path, found, f"sslmode={' or '.join(_VERIFIED)}")


def check_tls(manifest: Manifest) -> Iterator[Violation]:
    """Require TLS between pods: of what connects, and of the databases' own settings."""
    if manifest.kind.is_any(("core", "ConfigMap")):
        for entry in manifest.root.at("data").fields():
            yield from _settings_file(entry)
    for pod in manifest.pods():
        for container in pod.containers():
            variables = {
                name: one.at("value")
                for one in container.at("env").items()
                if isinstance(name := one.at("name").value, str)
            }
            yield from _variables(variables)


def _variables(variables: dict[str, Node]) -> Iterator[Violation]:
    for node in variables.values():
        yield from _url(node)
    host, mode = variables.get("PGHOST"), variables.get("PGSSLMODE")
    if host is not None and not (isinstance(host.value, str) and _LOCAL.match(host.value)):
        if mode is not None:
            yield from must_be(mode, *_VERIFIED)
        else:
            # Without the variable libpq prefers TLS and does without it where there is none.
            yield Violation(
                f"{host.path} without PGSSLMODE", host.value, f"PGSSLMODE={_VERIFIED[1]} beside it"
            )


def _settings_file(entry: Node) -> Iterator[Violation]:
    text = entry.value if isinstance(entry.value, str) else ""
    if "\n" not in text:
        yield from _url(entry)
        return
    name = entry.path.rpartition('["')[2].rstrip('"]')
    if name == "postgresql.conf":
        if settings(text).get("ssl") not in ("on", "true", "yes", "1"):
            yield Violation(entry.path, f"ssl = {settings(text).get('ssl')}", "ssl = on")
    elif name == "pg_hba.conf":
        for line in text.splitlines():
            fields = line.split()
            if fields and fields[0] in ("host", "hostnossl") and fields[-1] not in ("reject",):
                yield Violation(entry.path, f"a line {fields[0]} ... {fields[-1]}", "hostssl, or reject")
                break
    elif name == "pgbouncer.ini":
        own = sections(text).get("pgbouncer", {})
        if own.get("client_tls_sslmode") not in ("require", *_VERIFIED):
            yield Violation(entry.path, f"client_tls_sslmode = {own.get('client_tls_sslmode')}", "require")
        if own.get("server_tls_sslmode") not in _VERIFIED:
            found = f"server_tls_sslmode = {own.get('server_tls_sslmode')}"
            yield Violation(entry.path, found, " or ".join(_VERIFIED))
    elif name in ("valkey.conf", "redis.conf"):
        own = settings(text)
        if own.get("port") != "0" or "tls-port" not in own:
            yield Violation(entry.path, f"port {own.get('port')}", "port 0, and a tls-port")


_WORKLOADS: Final = (("apps", "Deployment"), ("apps", "StatefulSet"), ("apps", "DaemonSet"))


_CONNECTIONS: Final = (
    ("max_connections", "100", 1),
    ("superuser_reserved_connections", "3", -1),
    ("reserved_connections", "0", -1),
)
"""Settings of PostgreSQL with their defaults, and whether they add to what poolers may open."""


def check_connections(items: Sequence[Item]) -> Iterator[Violation]:
    """Require that all poolers together leave the database connections for others.

    What a pooler may open is its `max_db_connections`, for each database, in each of its pods, and in the one
    pod more that a rollout adds.
    """
    known = list(files(items))
    limits = [
        sum(sign * (whole(own.get(key, default)) or 0) for key, default, sign in _CONNECTIONS)
        for file in known
        if file.name == "postgresql.conf" and not file.unknown
        for own in [settings(file.text)]
    ]
    if not limits:
        return
    pools: list[tuple[File, int]] = []
    for file in known:
        if file.name != "pgbouncer.ini":
            continue
        if file.unknown:
            yield Violation(file.node.path, UNKNOWN, "a budget of connections", resource=file.item.resource)
            continue
        each_pod = _per_process(file.text)
        count = _pods_reading(file.item, items)
        if each_pod is None:
            yield Violation(
                file.node.path,
                "a database without max_db_connections",
                "max_db_connections for each database, above 0",
                resource=file.item.resource,
            )
        elif isinstance(count, Unknown):
            yield Violation(file.node.path, UNKNOWN, "a budget of connections", resource=file.item.resource)
        else:
            pools.append((file, each_pod * count))
    most, total = min(limits), sum(number for _, number in pools)
    if pools and total > most:
        file = max(pools, key=lambda one: one[1])[0]
        found = f"{total} connections from all pods of the poolers"
        yield Violation(
            file.node.path, found, f"at most {most}, what max_connections leaves", resource=file.item.resource
        )


def _per_process(text: str) -> int | None:
    parts = sections(text)
    default = whole(parts.get("pgbouncer", {}).get("max_db_connections", "0")) or 0
    total = 0
    for line in parts.get("databases", {}).values():
        match = re.search(r"\bmax_db_connections=(\d{1,9})", line)
        own = int(match[1]) if match else default
        if own <= 0:
            return None
        total += own
    return total


def _pods_reading(config: Item, items: Sequence[Item]) -> int | Unknown:
    """Count the pods that may mount a ConfigMap: an autoscaler's maximum, and a rollout's surge."""
    name, namespace = config.manifest.name.value, namespace_of(config)
    if not isinstance(name, str):
        return UNKNOWN
    total = 0
    for item in items:
        if not item.manifest.kind.is_any(*_WORKLOADS) or namespace_of(item) != namespace:
            continue
        for pod in item.manifest.pods():
            mounted = [volume.at("configMap", "name").value for volume in pod.spec.at("volumes").items()]
            if name in mounted:
                spec = item.root.at("spec")
                replicas, surge = (
                    spec.at("replicas").value,
                    spec.at("strategy", "rollingUpdate", "maxSurge").value,
                )
                scaled = [
                    one.root.at("spec", "maxReplicas").value
                    for one in items
                    if one.manifest.kind.name == "HorizontalPodAutoscaler"
                    and one.root.at("spec", "scaleTargetRef", "name").value == item.manifest.name.value
                ]
                own = [number for number in (replicas, *scaled) if isinstance(number, int)]
                total += max(own, default=1) + (surge if isinstance(surge, int) else 1)
    return total


_KEEPS: Final = (("core", "PersistentVolumeClaim"), ("core", "PersistentVolume"), DATABASE_CLUSTER)


def check_protected(resource: Resource) -> Iterator[Violation]:
    """Require the engine's own protection of what keeps data."""
    for manifest in manifests(resource):
        claims = manifest.root.at("spec", "volumeClaimTemplates").value
        if manifest.kind.patch or not (manifest.kind.is_any(*_KEEPS) or claims):
            continue
        found = UNKNOWN if resource.protected is None else resource.protected
        yield from must_be(Node(found, "options.protect"), True)
        return


_STORES: Final = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "pgbouncer": "pgbouncer",
    "valkey": "redis",
    "redis": "redis",
    "keydb": "redis",
    "mysql": "mysql",
    "mariadb": "mysql",
    "mongo": "mongo",
    "memcached": "memcached",
}
"""Images that keep data, or stand before what does, and whose exporter watches them."""


def check_exporter(pod: Pod) -> Iterator[Violation]:
    """Require an exporter with a port beside every store."""
    if pod.finishes or pod.manifest.kind.group == "postgresql.cnpg.io":
        return  # CloudNativePG's pods are their own exporters.
    containers = pod.spec.at("containers").items()
    bases = [
        parse(value).base if isinstance(value := one.at("image").value, str) else None for one in containers
    ]
    stores = {_STORES[base] for base in bases if base in _STORES}
    if not stores:
        return
    unknown = any(one.at("image").value is UNKNOWN for one in containers)
    exporting = [
        base
        for base, one in zip(bases, containers, strict=True)
        if base is not None and "exporter" in base and one.at("ports").items()
    ]
    for store in sorted(stores):
        if not any(store in base.replace("valkey", "redis") for base in exporting):
            path = pod.spec.at("containers")
            found = UNKNOWN if unknown else path.value
            yield Violation(path.path, found, f"with a {store} exporter that has a port")


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectPolicy(
        name="tls-between-tiers",
        description="Connections between pods must be encrypted, and databases must refuse others. Read are "
        "URLs and PG variables, and the settings of PostgreSQL, PgBouncer, Valkey and Redis in ConfigMaps.",
        remedy="Use the scheme with TLS, sslmode=verify-full, and refuse plain connections at the server.",
        severity=Severity.HIGH,
        framework=soc2("CC6.7"),
        anchors=("SOC2-CC6.7", "promise:encryption-in-transit"),
        selects=lambda kind: has_pods_of(kind) or kind.is_any(("core", "ConfigMap")),
        check=check_tls,
    ),
    ObjectsPolicy(
        name="connection-budget",
        description="All poolers together must open fewer connections than the database allows. Read are "
        "pgbouncer.ini and postgresql.conf in ConfigMaps.",
        remedy="Lower max_db_connections or the pooler's pods, or raise max_connections.",
        severity=Severity.HIGH,
        framework=soc2("A1.1"),
        anchors=("SOC2-A1.1", "promise:connection-budget"),
        selects=lambda token: (
            has_pods(token)
            or is_kind(token, ("core", "ConfigMap"), ("autoscaling", "HorizontalPodAutoscaler"))
        ),
        check=check_connections,
    ),
    PlainPolicy(
        name="stateful-resources-protected",
        description="Volumes' claims, volumes, databases and StatefulSets with claims of their own must be "
        "protected from deletion by the engine.",
        remedy="Set the resource option protect to true.",
        severity=Severity.HIGH,
        framework=soc2("A1.2"),
        anchors=("SOC2-A1.2", "promise:protected-state"),
        production_only=True,
        selects=lambda token: is_kind(token, *_KEEPS, ("apps", "StatefulSet")),
        check=check_protected,
    ),
    PodPolicy(
        name="exporter-for-every-store",
        description="Databases, caches and poolers must have an exporter in their pod.",
        remedy="Add the store's exporter as a container with a port for metrics.",
        severity=Severity.MEDIUM,
        framework=kubernetes("Sidecars", "concepts/workloads/pods/sidecar-containers/"),
        anchors=("promise:every-store-is-watched",),
        check=check_exporter,
    ),
)
