"""The repository by web identity: no key is kept, a pod's own token is shown, and credentials come for an hour."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest

from components.backup.repository import Access, WebIdentity
from simulator.images import container
from simulator.images.container import Bind, Container
from tests.artifact.backup_world import BackupWorld, Ended, backup_world
from tests.artifact.pod import RecordedPod, readable_by_the_pod
from tests.artifact.s3 import AWS, STS
from tests.artifact.s3_proxy import Rule

pytestmark = pytest.mark.heavy

ADDRESS = "127.0.143.8"
"""Where both services are; the port is the real one, for neither pgBackRest nor rclone is told another."""
TOKEN = "header.payload.signature-of-the-cluster"
USERS = ("database", "backup", "freshness", "monitor")


def role(who: str) -> str:
    return f"arn:aws:iam::123456789012:role/fixia-backups-{who}"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackupWorld]:
    """A world whose pods know the token service by its real name, and have a token."""
    folder = tmp_path_factory.mktemp("identity")
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{ADDRESS} {STS} {AWS}\n")
    names = [bind for bind in container._NAMES if bind.target != "/etc/hosts"]
    fill = RecordedPod._fill

    def filled(self: RecordedPod, volume: dict[str, Any], recording: Any) -> None:
        fill(self, volume, recording)
        if "projected" in volume:
            token = self.volumes[volume["name"]] / "token"
            token.write_text(TOKEN)
            readable_by_the_pod(token)

    with pytest.MonkeyPatch.context() as patch, backup_world(folder / "world") as made:
        patch.setattr(container, "_NAMES", (*names, Bind(source=hosts, target="/etc/hosts")))
        patch.setattr(RecordedPod, "_fill", filled)
        roles: dict[str, Any] = {who: WebIdentity(role=role(who)) for who in get_args(Access)}
        place, copy = made.repository.place, made.repository.replica
        assert copy
        made.repository = replace(
            made.repository,
            place=replace(place, endpoint=AWS),
            replica=replace(copy, endpoint=AWS),
            access=roles,
        )
        made.database = made.pod("by-identity")
        with made.store.token_service(ADDRESS, {role(who): who for who in USERS}):
            yield made


@pytest.fixture(scope="module")
def server(world: BackupWorld) -> Iterator[Container]:
    with world.database.serving() as serving:
        world.archiving(serving)
        good(world.job("backup"))
        yield serving


def good(ended: Ended) -> Ended:
    assert ended.code == 0, ended.text
    return ended


def test_each_shows_its_token_and_gets_the_keys_of_its_own_role(
    world: BackupWorld, server: Container
) -> None:
    ended = good(world.job("freshness"))
    assert not ended.of("unwritten")
    assert world.metrics()["backup_repository_up"] == 1
    calls = world.store.calls
    assumed = {call.key for call in calls if call.action == "sts:AssumeRoleWithWebIdentity"}
    assert assumed == {role(who) for who in USERS}
    assert set(world.store.traffic.tokens) == {TOKEN}
    assert {call.user for call in calls if call.user} == {world.store.user(who)[0] for who in USERS}
    # Each with the token that came with its keys: without it the proxy, and AWS, would refuse.
    assert world.store.traffic.sessions
    assert not [call for call in calls if call.status == 403]


def test_neither_the_token_nor_what_it_is_changed_for_is_told(world: BackupWorld, server: Container) -> None:
    told = "".join(path.read_text(errors="replace") for path in world.folder.rglob("*.log"))
    assert "finished" in told
    for session, (_, secret) in world.store.traffic.sessions.items():
        assert session not in told
        assert secret not in told
    assert TOKEN not in told


def test_a_role_that_may_not_be_taken_is_told(world: BackupWorld, server: Container) -> None:
    with world.store.fault(Rule(action="sts:AssumeRoleWithWebIdentity", status=403, code="AccessDenied")):
        ended = world.job("backup", PGBACKREST_IO_TIMEOUT="3")
    assert ended.code == 78, ended.text
    assert "no permission" in ended.text
    good(world.job("backup"))
