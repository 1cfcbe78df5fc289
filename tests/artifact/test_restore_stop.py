"""A pod that waits for its repository hears that it is to stop, whatever it waits for."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.backup.restore import Restore, environment
from tests.artifact.backup_world import BackupWorld
from tests.artifact.past import Past
from tests.artifact.pod import eventually
from tests.artifact.s3_proxy import Rule

pytestmark = pytest.mark.heavy

SOON_SECONDS = 5
"""Far less than the storage is waited for, also beside other tests; alone it is less than one."""


@pytest.fixture
def world(tmp_path: Path, payments: Past) -> Iterator[BackupWorld]:
    with payments.world(tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("restore", "waited_for"),
    [
        (None, Rule(key="")),  # is the repository empty, as this volume is?
        (Restore(id=1, to="latest"), Rule(action="s3:ListBucket")),  # was this restore done before?
        (Restore(id=1, to="latest"), Rule(action="s3:GetObject", key="backup.info")),  # how is that reached?
        (Restore(id=1, to="latest"), Rule(action="s3:GetObject", key="/bundle/")),  # the files
    ],
    ids=["asking whether it is empty", "asking what was done", "finding the way", "fetching files"],
)
def test_a_database_that_waits_for_its_repository_stops_when_it_is_asked_to(
    world: BackupWorld, restore: Restore | None, waited_for: Rule
) -> None:
    pod = world.pod("new")
    pod.set_env("postgresql", **environment(restore))
    waited_for.user = world.store.user("database")[0]
    with world.store.held(waited_for), pod.run("postgresql") as server:
        eventually(lambda: waited_for.struck, "it waits", 60)
        asked = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, pod.log("postgresql")
        assert time.monotonic() - asked < SOON_SECONDS, pod.log("postgresql")


def test_so_does_the_server_beside_it_that_makes_the_repository_ready(world: BackupWorld) -> None:
    pod = world.database
    rule = Rule(user=world.store.user("database")[0], action="s3:GetObject", key="(archive|backup).info")
    with pod.run("postgresql") as postgresql, pod.run("reconciler"):
        pod.ready(postgresql)
        with world.store.held(rule), pod.run("backup-server") as server:
            eventually(lambda: rule.struck, "it waits", 60)
            asked = time.monotonic()
            server.send_signal(signal.SIGTERM)
            server.wait(60)
            assert time.monotonic() - asked < SOON_SECONDS, pod.log("backup-server")
            assert "not ready for the archive" not in pod.log("backup-server")
