"""What no section can know by itself: whether the sections agree."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final, Protocol

from components.application.release import RUNNER as RELEASE_RUNNER
from components.backup.schedule import MONITOR_CONTAINERS
from components.backup.tasks import TASKS as BACKUP_TASKS
from components.data.cache import SIDECARS as CACHE_SIDECARS
from components.data.maintenance import JOBS
from components.data.maintenance import PSQL as MAINTENANCE_JOB
from components.data.pgbouncer import SIDECARS as POOL_SIDECARS
from components.data.pgbouncer_config import pods_at_once, server_connections
from components.data.postgres_backup import BACKUP_SERVER
from components.data.postgres_pod import SIDECARS as DATABASE_SIDECARS
from components.quantities import quantity
from settings import consistency_backup, consistency_monitoring, postgres
from settings.consistency_edge import disagreements_of_edge
from settings.data import CLOUDNATIVE_PG
from settings.disagreement import Disagreement
from settings.edge_shape import hosts_of
from settings.model import Settings

RESERVED: Final = (
    *("alertmanager", "authority", "backups", "blackbox", "cache", "certificate", "cluster", "collector"),
    *("credentials", "database", "deployed", "edge", "entrance", "grafana", "internet"),
    *("kube-state-metrics", "logs", "maintenance", "node-exporter", "origin-pulls", "pool", "priorities"),
    *("prometheus", "release", "routes", "status", "traces"),
)
"""Names of the platform's own parts, and of what `talksTo` knows besides workloads."""


HOW_TO_SET: Final = "pulumi config set --secret --path 'secrets.{name}.value'"
"""How somebody gives a credential; Pulumi puts the project's name before the path."""

OTHER_CONNECTIONS: Final = 20
"""To PostgreSQL beside the pool's: migrations, three maintenance jobs, exporter, backups, an operator."""

CACHE_VOLUME: Final = 5
"""How many times the memory limit the cache's log may grow to."""


class Requests(Protocol):
    """What one container requests, in a section or in a component."""

    @property
    def cpu(self) -> str: ...  # noqa: D102
    @property
    def memory(self) -> str: ...  # noqa: D102


def disagreements(settings: Settings) -> list[Disagreement]:
    """Every disagreement between sections that are each valid, though a name may be one of nothing."""
    return [
        *_beyond_quota(settings),
        *_reserved_names(settings),
        *_hosts(settings),
        *_unset_secrets(settings),
        *_too_few_pods(settings),
        *_calls_of_what_is_never_called(settings),
        *_too_small_volumes(settings),
        *_too_few_connections(settings),
        *disagreements_of_edge(settings),
        *postgres.refused(settings),
        *consistency_backup.refused(settings),
        *consistency_monitoring.refused(settings),
    ]


def _beyond_quota(settings: Settings) -> Iterator[Disagreement]:
    """Quotas that the workloads outgrow at their largest, while a release rolls out."""
    wanted = "at least {}: what its workloads ask for at autoscaling.max, and a release on top"
    for namespace, tier in settings.platform.namespaces.items():
        pods = _largest(settings, namespace)
        cpu = sum(
            (quantity(each.cpu) * times for containers, times in pods for each in containers), Decimal(0)
        )
        memory = sum(
            (quantity(each.memory) * times for containers, times in pods for each in containers), Decimal(0)
        )
        count = sum(times for _, times in pods)
        path = f"platform.namespaces.{namespace}.quota"
        if cpu > quantity(tier.quota.cpu):
            yield Disagreement(f"{path}.cpu", tier.quota.cpu, wanted.format(f"{cpu:f}"))
        if memory > quantity(tier.quota.memory):
            mebibytes = -(-memory // 2**20)
            yield Disagreement(f"{path}.memory", tier.quota.memory, wanted.format(f"{mebibytes:f}Mi"))
        if count > tier.quota.pods:
            yield Disagreement(f"{path}.pods", str(tier.quota.pods), wanted.format(count))


def _largest(settings: Settings, namespace: str) -> list[tuple[Sequence[Requests], int]]:
    """What runs in a namespace at most: what a pod's containers request, and how many such pods there are.

    A workload's pod that still drains counts too: where it fills the quota, a rollout waits for it.
    """
    entrance, database, cache, release = (
        settings.entrance,
        settings.database,
        settings.cache,
        settings.release,
    )
    # One more pod than max: a release starts a new one before it stops an old one.
    pods: list[tuple[Sequence[Requests], int]] = [
        ([workload.resources], workload.autoscaling.max + 1)
        for workload in settings.workloads.values()
        if workload.namespace == namespace
    ]
    if entrance and entrance.namespace == namespace:
        pods.append(([entrance.resources], entrance.autoscaling.max + 1))
    operated = database is not None and database.engine == CLOUDNATIVE_PG
    # The operator's instances back themselves up.
    backup = None if operated else settings.backup
    if database and database.namespace == namespace:
        pods += [
            # The operator has no sidecars, and makes each instance by a job that asks for as much.
            (
                [
                    database.resources,
                    *(() if operated else DATABASE_SIDECARS),
                    *([BACKUP_SERVER] if backup else []),
                ],
                1 + database.standbys + operated,
            ),
            (
                [database.pool.resources, *(() if operated else POOL_SIDECARS)],
                pods_at_once(database.pool.replicas),
            ),
            ([MAINTENANCE_JOB], len(JOBS)),
        ]
        if backup:
            # The monitor while it is replaced.
            pods += [*_backup_jobs(apart=False), (MONITOR_CONTAINERS, 2)]
    if backup and backup.restore_namespace == namespace:
        pods += _backup_jobs(apart=True)
    if cache and cache.namespace == namespace:
        pods.append(([cache.resources, *CACHE_SIDECARS], 1))
    monitoring = settings.monitoring
    if monitoring and monitoring.namespace == namespace:
        pods += consistency_monitoring.pods(monitoring)
    if monitoring:
        pods += consistency_monitoring.collectors(monitoring, namespace)
    released = settings.workloads.get(release.workload) if release else None
    if released and released.namespace == namespace:
        # Its steps run one after the other; the larger one is the new version with who tries it.
        pods.append(([released.resources, RELEASE_RUNNER], 1))
    return pods


def _backup_jobs(*, apart: bool) -> list[tuple[Sequence[Requests], int]]:
    """All that the clock starts, at once, and one that somebody or a release starts: the second one waits."""
    tasks = [task for task in BACKUP_TASKS.values() if task.apart == apart]
    by_hand = [task.resources for task in tasks if task.suspended]
    return [
        *(([task.resources], 1) for task in tasks if not task.suspended),
        ([max(by_hand, key=lambda each: quantity(each.memory))], 1),
    ]


def _reserved_names(settings: Settings) -> Iterator[Disagreement]:
    for name in settings.workloads:
        if name in RESERVED or name in settings.platform.namespaces:
            others = sorted({*RESERVED, *settings.platform.namespaces})
            yield Disagreement(f"workloads.{name}", "a name that is taken", f"none of {', '.join(others)}")


def _hosts(settings: Settings) -> Iterator[Disagreement]:
    hosts = hosts_of(settings)
    if settings.entrance is None:
        for path in hosts:
            yield Disagreement(path, "a host without an entrance", "no host, or a section `entrance`")
        return
    for name in settings.entrance.foreign_routes:
        if name in settings.workloads:
            path = f"entrance.foreignRoutes.{name}"
            yield Disagreement(path, "a name that a workload has", "a name of its own")
    taken: dict[str, str] = {}
    for path, host in hosts.items():
        if host in taken:
            yield Disagreement(path, repr(host), f"a host that nothing else has ({taken[host]} has it)")
        taken.setdefault(host, path)


def _unset_secrets(settings: Settings) -> Iterator[Disagreement]:
    for name, secret in settings.secrets.items():
        if secret.generate is None and secret.value is None:
            command = HOW_TO_SET.format(name=name)
            yield Disagreement(f"secrets.{name}.value", "nothing", f"the credential, set by `{command}`")


def _too_few_pods(settings: Settings) -> Iterator[Disagreement]:
    if settings.stack.environment != "production":
        return
    fewest = {
        f"workloads.{name}.autoscaling.min": w.autoscaling.min for name, w in settings.workloads.items()
    }
    if settings.entrance:
        fewest["entrance.autoscaling.min"] = settings.entrance.autoscaling.min
    for path, pods in fewest.items():
        if pods < 2:
            yield Disagreement(path, str(pods), "at least 2 in production: one pod goes with its node")


def _too_small_volumes(settings: Settings) -> Iterator[Disagreement]:
    cache = settings.cache
    if cache and quantity(cache.storage) < CACHE_VOLUME * quantity(cache.resources.memory_limit):
        least = CACHE_VOLUME * quantity(cache.resources.memory_limit) / 2**20
        why = "a rewrite of the log keeps the old one until the new one stands"
        yield Disagreement("cache.storage", cache.storage, f"at least {least:f}Mi, for {why}")


def _calls_of_what_is_never_called(settings: Settings) -> Iterator[Disagreement]:
    for name, workload in settings.workloads.items():
        for index, callee in enumerate(workload.talks_to):
            if callee in settings.workloads and not settings.workloads[callee].service:
                path = f"workloads.{name}.talksTo[{index}]"
                yield Disagreement(path, repr(callee), "a workload with a service")


def _too_few_connections(settings: Settings) -> Iterator[Disagreement]:
    database = settings.database
    if database is None:
        return
    try:
        server_connections(database.pool.budget, pods_at_once(database.pool.replicas))
    except ValueError as error:
        yield Disagreement("database.pool.budget", str(database.pool.budget), str(error))
    least = database.pool.budget + OTHER_CONNECTIONS + 2 * database.standbys
    if database.max_connections < least:
        others = (
            "the pool's budget, and what migrations, maintenance, exporter, standbys and an operator need"
        )
        yield Disagreement(
            "database.maxConnections", str(database.max_connections), f"at least {least}: {others}"
        )
