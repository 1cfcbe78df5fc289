"""Faults of the watched platform: how each is caused for real and mended, and which alerts must come of it.

Not real, but told to Prometheus by what stands in for its teller:

- what the backup monitor has found: its exporter is the real one, the file that it serves is written here, and
  the ages in it are told rather than waited for;
- what cert-manager, the kubelet and the application's queue tell;
- the target with too many samples is one of the test's own.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

import pytest

from tests.artifact import cache_pod
from tests.artifact.database_pod import EPOCH, password
from tests.artifact.postgres_client import Client, Refused
from tests.artifact.watched_world import ARCHIVE_CLOSED, DAY, Watched

HOUR: Final = 3600
CLAIM: Final = 'namespace="fixia-data",persistentvolumeclaim="database-data"'

Cause = Callable[[Watched], AbstractContextManager[None]]
"""Makes a fault; it is mended when the body ends."""


# --- the database


def app(world: Watched) -> Client:
    return Client(world.database.port, f"app_{EPOCH % 3}", password("app"), world.database.authority)


def database_down(world: Watched) -> AbstractContextManager[None]:
    return world.gone("database", world.begin_database)


@contextmanager
def too_many_connections(world: Watched) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(28):
            stack.enter_context(app(world))
        yield


@contextmanager
def idle_transaction(world: Watched) -> Iterator[None]:
    with app(world) as client:
        client("BEGIN")
        client("SELECT 1")
        yield


@contextmanager
def lock_held(world: Watched) -> Iterator[None]:
    lock = "SELECT pg_advisory_xact_lock(7)"
    with ExitStack() as stack:
        waiting = [stack.enter_context(app(world)) for _ in range(7)]
        holder = stack.enter_context(app(world))
        holder(f"BEGIN; {lock}")
        for client in waiting:
            client("SET lock_timeout = 0; SET statement_timeout = 0")
            client.send(lock)
        yield
        holder("COMMIT")
        for client in waiting:
            client.receive()


@contextmanager
def deadlocks_and_a_forgotten_slot(world: Watched) -> Iterator[None]:
    server = world.running["database"]
    world.database.root(server, "SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        for _ in range(8):
            deadlock(world)
        yield
    finally:
        world.database.root(server, "SELECT pg_drop_replication_slot('forgotten')")


def deadlock(world: Watched) -> None:
    """Two that wait for each other, until the database ends one of them."""
    refused = 0
    with app(world) as one, app(world) as other:
        one("BEGIN; SELECT pg_advisory_xact_lock(1)")
        other("BEGIN; SELECT pg_advisory_xact_lock(2)")
        one.send("SELECT pg_advisory_xact_lock(2)")
        other.send("SELECT pg_advisory_xact_lock(1)")
        for client in (one, other):
            try:
                client.receive()
            except Refused as refusal:
                refused += refusal.code == "40P01"
            client("ROLLBACK")
    assert refused == 1


@contextmanager
def archive_closed(world: Watched) -> Iterator[None]:
    server = world.running["database"]
    assert server.execute(["touch", ARCHIVE_CLOSED]).code == 0
    try:
        yield
    finally:
        assert server.execute(["rm", ARCHIVE_CLOSED]).code == 0


# --- the pool


def pool_down(world: Watched) -> AbstractContextManager[None]:
    return world.gone("pool", world.begin_pool)


@contextmanager
def pool_used_up(world: Watched) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(20):
            # Whoever gets a connection keeps it; the others wait.
            stack.enter_context(world.pool.client()).send("BEGIN; SELECT 1")
        yield


@contextmanager
def pool_paused(world: Watched) -> Iterator[None]:
    world.pool.console(world.running["pool"], "PAUSE fixia")
    try:
        yield
    finally:
        world.pool.console(world.running["pool"], "RESUME fixia")


# --- the cache


def cache_down(world: Watched) -> AbstractContextManager[None]:
    return world.gone("cache", world.begin_cache)


@contextmanager
def cache_full(world: Watched) -> Iterator[None]:
    with world.cache.client("root") as client:
        try:
            with pytest.raises(cache_pod.Refused, match="OOM"):
                fill(client)
            yield
        finally:
            client("FLUSHALL")


def fill(client: cache_pod.Client) -> None:
    for number in range(2000):
        client("SET", f"filling:{number}", "x" * (1 << 16))


@contextmanager
def cache_nearly_full(world: Watched) -> Iterator[None]:
    with world.cache.client("root") as client:
        number, memory = 0, client.info("memory")
        try:
            while int(memory["used_memory"]) < 0.87 * int(memory["maxmemory"]):
                client("SET", f"filling:{(number := number + 1)}", "x" * (1 << 16))
                memory = client.info("memory")
            yield
        finally:
            client("FLUSHALL")


@contextmanager
def cache_log_unwritable(world: Watched) -> Iterator[None]:
    folder = world.cache.volumes["data"] / "appendonlydir"
    with world.cache.client("root") as client:
        folder.chmod(0o555)
        try:
            with pytest.raises(cache_pod.Refused):
                client("BGREWRITEAOF")
            yield
        finally:
            folder.chmod(0o755)
            client("BGREWRITEAOF")


def cache_unwatched(world: Watched) -> AbstractContextManager[None]:
    def again() -> None:
        world.start("cache-exporter", world.cache, "exporter", command=["prometheus-redis-exporter"])

    return world.gone("cache-exporter", again)


# --- the backups


def told_by_the_monitor(**found: Callable[[float], float]) -> Cause:
    """What the monitor would find: part of a metric's name and labels -> its value, by the time of day."""

    @contextmanager
    def caused(world: Watched) -> Iterator[None]:
        now = time.time()
        world.backups(**{name: value(now) for name, value in found.items()})
        try:
            yield
        finally:
            world.backups()

    return caused


def always(value: float) -> Callable[[float], float]:
    return lambda _now: value


def ago(seconds: float) -> Callable[[float], float]:
    return lambda now: now - seconds


# --- the entrance, and what stands in


@contextmanager
def asking(world: Watched, path: str, clients: int) -> Iterator[None]:
    """So many clients that ask again and again."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.1):
            world.entrance.ask("api.test", path)

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def errors(world: Watched) -> Iterator[None]:
    with asking(world, "/", 2):
        world.entrance.endpoints("api", [])
        try:
            yield
        finally:
            world.entrance.endpoints("api", [world.upstream.pod])


def slow(world: Watched) -> AbstractContextManager[None]:
    return asking(world, "/slow?1.5", 12)


@contextmanager
def site_fails(world: Watched) -> Iterator[None]:
    world.site_status = 500
    try:
        yield
    finally:
        world.site_status = 200


@contextmanager
def site_certificate_ends(world: Watched) -> Iterator[None]:
    world.certify_site(days=3)
    try:
        yield
    finally:
        world.certify_site(days=90)


def stood_in(found: Callable[[Watched], dict[str, float]]) -> Cause:
    """What somebody tells who does not run here."""

    @contextmanager
    def caused(world: Watched) -> Iterator[None]:
        before = world.elsewhere.metrics
        world.elsewhere.metrics = before | found(world)
        try:
            yield
        finally:
            world.elsewhere.metrics = before

    return caused


def claimed_twice(_world: Watched) -> dict[str, float]:
    """A volume of which two kubelets tell, as when it moves: the rule that divides by it cannot be evaluated."""
    return {
        f'kubelet_volume_stats_{what}_bytes{{{CLAIM},node="{node}"}}': 100
        for what in ("available", "capacity")
        for node in ("one", "other")
    }


def volume_full(_world: Watched) -> dict[str, float]:
    return {
        f"kubelet_volume_stats_available_bytes{{{CLAIM}}}": 5,
        f"kubelet_volume_stats_capacity_bytes{{{CLAIM}}}": 100,
    }


# --- the monitoring


@contextmanager
def too_many_samples(world: Watched) -> Iterator[None]:
    before = world.spare.metrics
    world.spare.metrics = {f'spare{{number="{number}"}}': 1 for number in range(30_001)}
    try:
        yield
    finally:
        world.spare.metrics = before


def one_alertmanager_gone(world: Watched) -> AbstractContextManager[None]:
    # It leaves, as when its node is drained.
    return world.gone("alertmanager-1", world.begin_second, by=signal.SIGTERM)


def one_alertmanager_killed(world: Watched) -> AbstractContextManager[None]:
    # It says no goodbye, as when its node is lost: the other one finds out by asking.
    return world.gone("alertmanager-1", world.begin_second)


@contextmanager
def messages_refused(world: Watched) -> Iterator[None]:
    """One of those who are told answers with errors: the switch, so that all others can tell of it."""
    world.around.web.answers["/switch"] = 500
    try:
        yield
    finally:
        del world.around.web.answers["/switch"]


PAIR: Final = ("AlertmanagerPeerMissing", "PrometheusNotificationsFail", "TargetDown")
FAULTS: dict[str, tuple[Cause, tuple[str, ...]]] = {
    "database down": (database_down, ("DatabaseDown",)),
    "too many connections": (too_many_connections, ("DatabaseConnectionsNearLimit",)),
    "idle transaction": (idle_transaction, ("DatabaseTransactionTooLong",)),
    "lock held": (lock_held, ("DatabaseSessionsWait",)),
    "deadlocks, and a forgotten slot": (
        deadlocks_and_a_forgotten_slot,
        ("DatabaseDeadlocks", "DatabaseSlotInactive"),
    ),
    "archive closed": (archive_closed, ("ArchiveBehind",)),
    "pool down": (pool_down, ("PoolDown",)),
    "pool used up": (pool_used_up, ("PoolClientsWait",)),
    "pool paused": (pool_paused, ("PoolPaused",)),
    "cache down": (cache_down, ("CacheDown",)),
    "cache full": (cache_full, ("CacheRefusesWrites",)),
    "cache nearly full": (cache_nearly_full, ("CacheMemoryNearLimit",)),
    "cache cannot write its log": (cache_log_unwritable, ("CacheNotPersisting",)),
    "cache's exporter gone": (cache_unwatched, ("CacheUnwatched", "TargetDown")),
    "backups late, failed and damaged": (
        told_by_the_monitor(
            backup_last_success=ago(30 * HOUR),
            backup_last_error=always(1),
            backup_archive_gaps=always(2),
            backup_job_success_job_backup=always(0),
            backup_job_success_job_freshness=always(0),
            backup_job_success_job_snapshot=always(0),
        ),
        (
            "BackupTooOld",
            "BackupDamaged",
            "ArchiveHasGaps",
            "BackupFailed",
            "FreshnessCheckFails",
            "SnapshotFailed",
        ),
    ),
    "restores fail": (
        told_by_the_monitor(
            backup_job_success_job_restore_test=always(0),
            backup_job_success_job_drill=always(0),
            backup_job_success_job_dump=always(0),
            backup_measured_rpo_seconds=always(301),
            backup_measured_rto_seconds=always(1801),
        ),
        ("RestoreTestFailed", "DrillFailed", "DumpFailed", "RecoveryPointMissed", "RecoveryTimeMissed"),
    ),
    "repository unreachable, and the monitor hangs": (
        told_by_the_monitor(
            backup_repository_up=always(0),
            backup_monitor_last_refresh=ago(1000),
            backup_replica_lag=always(7200),
        ),
        ("BackupRepositoryUnreachable", "BackupMonitorSilent", "BackupReplicaBehind"),
    ),
    "errors": (errors, ("ServiceErrorsMany",)),
    "error budget burns": (errors, ("ErrorBudgetBurnsUp",)),
    "slow": (slow, ("ServiceVerySlow",)),
    "site fails": (site_fails, ("PublicAddressDown",)),
    "site's certificate ends": (site_certificate_ends, ("PublicCertificateExpiresThisWeek",)),
    "issued certificate ends": (
        stood_in(lambda world: {world.certificate: time.time() + 5 * DAY}),
        ("CertificateExpiresThisWeek",),
    ),
    "queue stuck": (
        stood_in(lambda _: {'queue_oldest_waiting_seconds{namespace="fixia-app"}': 400}),
        ("QueueStuck",),
    ),
    "volume full": (stood_in(volume_full), ("DataVolumeAlmostFull",)),
    "rule fails": (stood_in(claimed_twice), ("PrometheusRuleFails",)),
    "too many samples": (too_many_samples, ("PrometheusRefusesTarget", "TargetDown")),
    "messages refused": (messages_refused, ("AlertmanagerNotificationsFail",)),
    "one Alertmanager gone": (one_alertmanager_gone, PAIR),
    "one Alertmanager killed": (one_alertmanager_killed, PAIR),
}
"""What is caused, and who must come; whatever explains itself by these may come too."""
