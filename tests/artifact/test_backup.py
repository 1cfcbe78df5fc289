"""The backup jobs as their CronJobs run them, against the real PostgreSQL, pgBackRest and an S3 over TLS."""

import json
import re
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from components.backup.repository import Access
from simulator.images.container import Container
from tests.artifact.backup_world import BUCKET, CIPHER, REPLICA, BackupWorld, backup_world
from tests.artifact.pod import eventually
from tests.artifact.s3_proxy import Rule
from tests.artifact.test_alert_metrics import wanted

pytestmark = pytest.mark.heavy

LOCKED = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 5432 AND objid = 1"
SUNDAY, WEDNESDAY = "7", "3"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupWorld]:
    folder = tmp_path_factory.mktemp("backups")
    with backup_world(folder) as made:
        yield made


@pytest.fixture(scope="module")
def server(world: BackupWorld) -> Iterator[Container]:
    """A database with a table, a full backup and an incremental one."""
    with world.database.serving() as serving:
        world.database.root(serving, "CREATE TABLE payment (id bigserial, note text)")
        world.archiving(serving)
        for today, kind in ((SUNDAY, "full"), (WEDNESDAY, "incr")):
            ended = world.job("backup", TODAY=today)
            assert ended.code == 0, ended.text
            assert ended.of("made")[0]["type"] == kind
        yield serving


def backups(world: BackupWorld) -> list[dict[str, object]]:
    info = world.tool("backup", "pgbackrest", "--stanza=main", "--output=json", "info").json
    found: list[dict[str, object]] = info[0]["backup"]
    return found


def test_a_backup_is_there_verified_and_told(world: BackupWorld, server: Container) -> None:
    known = backups(world)
    assert [backup["type"] for backup in known[:2]] == ["full", "incr"]
    assert all(backup["error"] is False for backup in known)
    result = world.result("backup")
    assert (result["success"], result["verified"], result["archive_gaps"]) == (1, 1, 0)
    assert result["label"] in [backup["label"] for backup in known]


def test_the_monitor_tells_prometheus_what_there_is(world: BackupWorld, server: Container) -> None:
    for job in ("freshness", "snapshot"):
        ended = world.job(job)
        assert ended.code == 0, ended.text
    with world.monitor() as monitor:
        found = monitor.fresh()
        text = monitor.text()
    assert found["backup_repository_up"] == 1
    newest = {str(one["type"]): one["timestamp"]["stop"] for one in backups(world)}  # type: ignore[index]
    for kind in ("full", "incr"):
        assert found[f'backup_last_success_timestamp_seconds{{type="{kind}"}}'] == newest[kind]
        assert found[f'backup_last_error{{type="{kind}"}}'] == 0
        assert found[f'backup_size_bytes{{type="{kind}"}}'] > 0
    for job in ("backup", "freshness", "snapshot"):
        result = world.result(job)
        assert found[f'backup_job_success{{job="{job}"}}'] == 1
        assert found[f'backup_job_last_run_timestamp_seconds{{job="{job}"}}'] == result["finished"]
        assert found[f'backup_job_last_success_timestamp_seconds{{job="{job}"}}'] == result["finished"]
        assert found[f'backup_job_duration_seconds{{job="{job}"}}'] == result["duration_seconds"]
    assert found["backup_verified"] == 1
    assert found["backup_promised_rpo_seconds"] == 300
    assert found["backup_promised_rto_seconds"] == 1800
    assert found["backup_database_size_bytes"] > found["backup_repository_size_bytes"] / 2 > 0
    # These are known once a copy was restored.
    measured = {"backup_measured_rpo_seconds", "backup_measured_rto_seconds"}
    told = {name for name in wanted("backup_") if re.search(rf"^{name}\b", text, re.MULTILINE)}
    assert wanted("backup_").keys() - told == measured
    # Nothing but ours: no metrics of the node or of the exporter's own process.
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {name for name in names if not name.startswith(("backup_", "node_textfile_", "node_scrape_"))} <= {
        "node_exporter_build_info"
    }


def test_the_replicas_lag_is_the_age_of_what_it_lacks(world: BackupWorld, server: Container) -> None:
    world.replicate()
    assert world.metrics()["backup_replica_lag_seconds"] == 0
    (world.store.path(REPLICA) / "results" / "backup.json").unlink()
    late = world.result("backup")["finished"]
    with world.monitor() as monitor:
        found = monitor.fresh()
    assert found["backup_replica_lag_seconds"] > 0
    assert (
        found["backup_replica_lag_seconds"]
        >= found["backup_monitor_last_refresh_timestamp_seconds"] - late - 5
    )


def test_the_monitor_reads_a_repository_whose_results_are_missing_or_cut_off(
    world: BackupWorld, server: Container
) -> None:
    results = world.store.path(BUCKET) / "results"
    cut = results / "zzz.json"
    cut.write_text('{"job": "zz')
    try:
        assert world.metrics()["backup_repository_up"] == 1
    finally:
        cut.unlink()
    kept = results.rename(world.store.path(BUCKET).parent.parent / "results-aside")
    try:
        found = world.metrics()
    finally:
        shutil.rmtree(results, ignore_errors=True)
        kept.rename(results)
    assert found["backup_repository_up"] == 1
    assert not [name for name in found if name.startswith("backup_job_success")]


def test_a_monitor_whose_storage_is_gone_says_so_and_keeps_what_it_knew(
    world: BackupWorld, server: Container
) -> None:
    with world.monitor(PGBACKREST_IO_TIMEOUT="2") as monitor:
        before = monitor.fresh()
        with world.store.gone():
            eventually(lambda: monitor.metrics().get("backup_repository_up") == 0, "it says so", 90)
            known = 'backup_last_success_timestamp_seconds{type="full"}'
            assert monitor.metrics()[known] == before[known]
        eventually(lambda: monitor.metrics().get("backup_repository_up") == 1, "it is back", 90)
        probe = monitor.pod.probe("monitor", monitor.container, "liveness")
        assert probe[0] == 0, probe[1]


def test_nothing_of_the_database_is_in_the_bucket_in_plain_text(
    world: BackupWorld, server: Container
) -> None:
    known = secrets.token_hex(4000)  # compresses by half at most, so its parts would be seen
    insert = f"INSERT INTO payment (note) VALUES ('{known}')"  # noqa: S608 digits
    world.database.root(server, insert, "CHECKPOINT")
    world.archiving(server)
    assert world.job("backup", TYPE="full").code == 0
    zstandard = b"\x28\xb5\x2f\xfd"
    objects = {
        key: path.read_bytes()
        for key, path in world.store.objects(BUCKET).items()
        if key.startswith("pgbackrest/")
    }
    assert any("/bundle/" in key for key in objects)
    for key, content in objects.items():
        assert known[:64].encode() not in content, key
        assert not content.startswith((zstandard, b"\x1f\x8b")), key
        assert b"backup-timestamp" not in content, key
        assert CIPHER.encode() not in content, key
    # That all of it is random to the eye: a page of PostgreSQL, encrypted or compressed, is.
    bundle = max((content for key, content in objects.items() if "/bundle/" in key), key=len)
    counts = [bundle.count(bytes([byte])) for byte in range(256)]
    assert max(counts) < 2 * min(counts)


def test_every_object_is_sent_with_a_checksum(world: BackupWorld, server: Container) -> None:
    """A bucket with Object Lock takes no other: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html"""
    puts = [call for call in world.store.calls if call.action == "s3:PutObject" and call.status == 200]
    assert puts
    assert [call for call in puts if not call.checked] == []


def test_no_secret_is_told_anywhere(world: BackupWorld, server: Container) -> None:
    logs = [path.read_text(errors="replace") for path in world.folder.rglob("*.log")]
    told = "\n".join(logs)
    for who in get_args(Access):
        assert world.store.user(who)[1] not in told
    assert CIPHER not in told
    assert "backup it's" not in told  # the password of the role


def test_the_backup_holds_the_lock_that_the_maintenance_waits_for(
    world: BackupWorld, server: Container
) -> None:
    held = f"SELECT count(*) {LOCKED} AND granted"
    with world.started("backup") as (running, log):
        eventually(lambda: world.database.root(server, held) == ["1"], "it holds the lock")
        assert running.wait(120) == 0, log.read_text()
    eventually(lambda: world.database.root(server, held) == ["0"], "the lock is free")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_backup_that_is_ended_leaves_no_lock(
    world: BackupWorld, server: Container, number: signal.Signals
) -> None:
    held = f"SELECT count(*) {LOCKED} AND granted"
    with world.started("backup", TYPE="full") as (running, log):
        eventually(lambda: world.database.root(server, held) == ["1"], "it holds the lock")
        running.send_signal(number)
        code = running.wait(30)
    eventually(lambda: world.database.root(server, held) == ["0"], "the lock is free")
    if number == signal.SIGTERM:
        assert code == 143
        assert '"event":"stopped"' in log.read_text()
        assert world.result("backup")["error"] == "asked to stop"
        assert world.result("backup")["last_success"] > 0
    assert world.job("backup").code == 0


def test_a_vacuum_is_waited_for_and_not_for_ever(world: BackupWorld, server: Container) -> None:
    holds = "SELECT pg_advisory_lock(5432, 1);\nSELECT pg_sleep(300);\n"
    with world.database.client(holds, "owner", "vacuum"):
        eventually(lambda: world.database.root(server, f"SELECT count(*) {LOCKED}") == ["1"], "it is held")
        ended = world.job("backup", PATIENCE_SECONDS="2")
    assert ended.code == 0, ended.text
    assert ended.of("lock_busy")


def test_the_role_that_takes_backups_and_dumps_reads_and_changes_nothing(
    world: BackupWorld, server: Container
) -> None:
    asked = (
        "has_table_privilege('backup', 'payment', 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')",
        "has_schema_privilege('backup', 'public', 'CREATE')",
        "has_database_privilege('backup', current_database(), 'CREATE, TEMPORARY')",
        "rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication",
        # For dumps; the role has no more than one reader's rights.
        "has_table_privilege('backup', 'payment', 'SELECT')",
    )
    statement = f"SELECT {', '.join(asked)} FROM pg_roles WHERE rolname = 'backup'"  # noqa: S608 all told here
    assert world.database.root(server, statement) == ["f|f|f|f|t"]


def test_nobody_else_gets_the_databases_files(world: BackupWorld, server: Container, tmp_path: Path) -> None:
    command = ("pgbackrest", "--stanza=main", "--log-level-stderr=warn", "check")
    certify = world.certify
    try:
        # Of the right authority, and with another name: any other pod's certificate.
        world.certify = lambda folder, name="app": certify(folder, name)  # type: ignore[method-assign]
        ended = world.tool("backup", *command)
    finally:
        world.certify = certify  # type: ignore[method-assign]
    assert ended.code != 0
    assert "access denied" in ended.text or "AccessError" in ended.text, ended.text
    assert world.tool("backup", *command).code == 0


def test_a_snapshot_is_a_point_to_go_back_to(world: BackupWorld, server: Container) -> None:
    before = len(backups(world))
    ended = world.job("snapshot", SNAPSHOT="before-2.0.0")
    assert ended.code == 0, ended.text
    told = world.result("snapshot")["snapshot"]
    assert told["restore_point"] == "before-2.0.0"
    assert re.fullmatch(r"[0-9-]{10} [0-9:]{8}\.[0-9]{6}\+00", told["at"])
    assert told["label"] == backups(world)[-1]["label"]
    assert len(backups(world)) == before + 1
    assert f'make restore TO=\\"{told["at"]}\\"' in json.dumps(ended.of("finished")[0]["message"])
    assert world.job("snapshot", SNAPSHOT="it's").code == 78


def test_an_archive_that_has_stopped_is_not_fresh(world: BackupWorld, server: Container) -> None:
    with world.store.fault(Rule(user=world.store.user("database")[0], status=503)):
        ended = world.job("freshness", RPO_SECONDS="-2")
        assert (ended.code, ended.of("archive_behind") != []) == (75, True)
    ended = world.job("freshness", BACKUP_SECONDS="-1")
    assert (ended.code, ended.of("backup_late") != []) == (75, True)
    assert "docs/runbooks/backup-late.md" in ended.text
    assert world.result("freshness")["success"] == 0
    assert world.job("freshness").code == 0
