"""What each job asks of the storage, in one run of all of them, is what its role may do; and no less."""

import signal
from collections.abc import Iterator, Mapping
from typing import get_args

import pytest

from components.backup.grants import GRANTS, Place, allowed
from components.backup.repository import Access
from components.backup.restore import Restore
from simulator.images.container import Container
from tests.artifact.backup_world import BUCKET, REPLICA, BackupWorld, Ended, backup_world
from tests.artifact.past import serving
from tests.artifact.pod import eventually

pytestmark = pytest.mark.heavy

Did = Mapping[str, set[tuple[str, str, Place]]]
PLACES: Mapping[str, Place] = {BUCKET: "repository", REPLICA: "replica"}
OPERATED = "cloudnative-pg"
"""Of the other engine, which runs its own programs."""
JOBS = [job for job in GRANTS if job != OPERATED]


def good(ended: Ended) -> None:
    assert ended.code == 0, ended.text


@pytest.fixture(scope="module")
def did(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Did]:
    """Job -> the action, the key and the bucket of each of its calls."""
    with backup_world(tmp_path_factory.mktemp("grants")) as world:
        with world.database.serving() as server:
            everyday(world, server)
        # And the database from the bucket, as the one who archives.
        restored = world.pod("restored", restore=Restore(id=1, to="latest"))
        with serving(restored) as server:
            noted = restored.volumes["data"] / "restored"
            eventually(noted.exists, "the restore is noted", 120)
            world.archiving(server, restored)
        yield {
            job: {
                (call.action, call.key, PLACES[call.bucket])
                for call in world.store.calls
                if call.user == world.store.user(job)[0]
            }
            for job in JOBS
        }


def everyday(world: BackupWorld, server: Container) -> None:
    """Every CronJob once, those that are started by hand too; of the dumps, the first expires."""
    pod = world.database
    statements = (
        "CREATE TABLE public.orders (id bigint PRIMARY KEY)",
        "INSERT INTO public.orders VALUES (1)",
    )
    pod.sql(server, *statements, role="owner")
    world.archiving(server)
    for job in ("backup", "snapshot", "freshness", "dump"):
        good(world.job(job))
    good(world.job("dump", KEEP_DAYS="0"))
    assert world.result("dump")["dumps"] == 1
    good(world.job("restore-table", TABLE="public.orders", SCHEMA="back"))
    world.archiving(server)
    good(world.job("restore-test"))
    with world.started("scratch", TO="latest", KEEP_SECONDS="600") as (running, log):
        eventually(lambda: '"serving"' in log.read_text(), "it serves", 180)
        running.send_signal(signal.SIGTERM)
        assert running.wait(120) == 143, log.read_text()
    world.replicate()
    good(world.job("drill"))
    assert world.metrics()["backup_repository_up"] == 1


def test_there_are_grants_for_whoever_uses_the_repository() -> None:
    assert set(GRANTS) == set(get_args(Access))


@pytest.mark.parametrize("job", JOBS)
def test_no_job_does_more_than_its_role_may(did: Did, job: str) -> None:
    assert did[job]
    beyond = {call for call in did[job] if not allowed(job, *call)}
    assert not beyond, f"{job}: {sorted(beyond)[:5]}"


@pytest.mark.parametrize("job", JOBS)
def test_no_role_may_more_than_its_job_does_but_for_what_is_said_to_be_rare(did: Did, job: str) -> None:
    done = {(action, place) for action, _, place in did[job]}
    unused = {
        (grant.action, grant.place)
        for grant in GRANTS[job]
        if not grant.rare and (grant.action, grant.place) not in done
    }
    assert not unused, f"{job} is granted and never does: {unused}"
