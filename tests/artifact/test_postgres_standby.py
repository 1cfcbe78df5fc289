"""A standby: how it comes about, follows, is read from and takes over; and that its old primary stays away."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from simulator.images.container import Container
from tests.artifact.database_pod import STANDBY, DatabasePod, Refused, numbers
from tests.artifact.pod import eventually

COUNT = "SELECT count(*) FROM paid"


class Pair:
    """The pod of a primary and that of its standby, each at an address of its own."""

    def __init__(self, folder: Path, made: Path) -> None:
        self.primary = DatabasePod(folder / "primary", standbys=1)
        self.primary.fill(made)
        self.standby = self.another(folder / "standby", "database-standby-0")

    def another(self, folder: Path, name: str) -> DatabasePod:
        """One more standby's pod."""
        authority = self.primary.authority
        pod = DatabasePod(folder, port=self.primary.port, authority=authority, standbys=1, standby=True)
        pod.set_env("postgresql", HOSTNAME=name)
        return pod

    @contextmanager
    def serving(self) -> Iterator[tuple[Container, Container]]:
        with self.primary.serving() as primary, self.standby.serving() as standby:
            yield primary, standby

    def caught_up(self, primary: Container, standby: Container) -> None:
        """Wait until the standby has replayed all that the primary has written so far."""
        (written,) = self.primary.root(primary, "SELECT pg_current_wal_lsn()")
        ask = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        eventually(lambda: self.standby.root(standby, ask) == ["t"], "the standby has caught up")


@pytest.fixture
def pair(tmp_path: Path, made: Path) -> Pair:
    return Pair(tmp_path, made)


def paid(pod: DatabasePod, server: Container, *amounts: int) -> None:
    pod.sql(server, "CREATE TABLE IF NOT EXISTS paid (number bigint PRIMARY KEY)", role="owner")
    pod.sql(server, *(f"INSERT INTO paid VALUES ({amount})" for amount in amounts))  # noqa: S608


def test_a_standby_copies_the_primary_follows_it_and_is_read_from(pair: Pair) -> None:
    with pair.serving() as (primary, standby):
        paid(pair.primary, primary, 1, 2, 3)
        pair.caught_up(primary, standby)
        assert pair.standby.sql(standby, COUNT, role="readonly") == ["3"]
        with pytest.raises(Refused, match="read-only transaction"):
            pair.standby.sql(standby, "INSERT INTO paid VALUES (4)")
        for kind in ("startup", "readiness", "liveness"):
            assert pair.standby.probe("postgresql", standby, kind) == (0, "")
        lag = (
            "SELECT application_name, state, ssl, coalesce(replay_lag, '0') < '1min' FROM pg_stat_replication"
        )
        lag += " JOIN pg_stat_ssl USING (pid)"
        assert pair.primary.root(primary, lag) == ["database_standby_0|streaming|t|t"]
        slots = "SELECT slot_name, active, wal_status FROM pg_replication_slots"
        assert pair.primary.root(primary, slots) == ["database_standby_0|t|reserved"]


def test_each_may_restart_and_the_standby_goes_on(pair: Pair) -> None:
    with ExitStack() as both:
        primary = both.enter_context(pair.primary.serving())
        with pair.standby.serving() as standby:
            paid(pair.primary, primary, 1)
        paid(pair.primary, primary, 2)
        standby = both.enter_context(pair.standby.serving())
        pair.caught_up(primary, standby)
        assert pair.standby.log("postgresql").count("copying the data") == 1
        primary.send_signal(signal.SIGTERM)
        assert primary.wait(30) == 0
        # Alone it goes on serving the past.
        assert pair.standby.sql(standby, COUNT, role="readonly") == ["2"]
        assert pair.standby.probe("postgresql", standby, "readiness") == (0, "")
        with pair.primary.serving() as primary:
            paid(pair.primary, primary, 3)
            pair.caught_up(primary, standby)
        assert pair.standby.sql(standby, COUNT, role="readonly") == ["3"]


def test_a_rotation_of_the_replicators_password_reaches_the_standby(pair: Pair) -> None:
    with pair.serving() as (primary, standby):
        for pod in (pair.primary, pair.standby):
            pod.write_secret("replicator-password", r"an:other\one 'x")
        eventually(lambda: "changed replicator\n" in pair.primary.log("reconciler"), "the primary has it")
        pair.primary.root(primary, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
        paid(pair.primary, primary, 1)
        pair.caught_up(primary, standby)


def test_a_promoted_standby_takes_over_and_the_old_primary_stays_away(pair: Pair, tmp_path: Path) -> None:
    promote = ["/usr/lib/database/promote.sh"]
    with ExitStack() as later, ExitStack() as first:
        primary = first.enter_context(pair.primary.serving())
        standby = later.enter_context(pair.standby.run("postgresql"))
        pair.standby.ready(standby)
        paid(pair.primary, primary, *range(1, 6))
        pair.caught_up(primary, standby)
        refusal = standby.execute(promote)
        assert refusal.code == 1
        assert "still answers; stop it first" in refusal.lines[-1]
        first.close()

        promoted = standby.execute(promote, timeout=60)
        assert promoted.code == 0, promoted.lines
        assert promoted.lines[-1] == "this is the primary now, on timeline 2"
        paid(pair.standby, standby, 6)
        assert standby.execute(promote).lines == ("this is a primary already",)

        # Somebody starts the old one, with its old volume.
        with pair.primary.run("postgresql") as old:
            assert old.wait(30) == 78
        told = f"refused: the standby {STANDBY} was promoted: it is on timeline 2, this volume on 1"
        assert told in pair.primary.log("postgresql")

    # As after the settings name the promoted one's claim: its volume is the primary's, a new standby is made.
    pair.primary.volumes["data"] = pair.standby.volumes["data"]
    second = pair.another(tmp_path / "second", "database-standby-1")
    with pair.primary.serving() as primary, second.serving() as standby:
        paid(pair.primary, primary, 7)
        assert numbers(pair.primary.sql(primary, "SELECT number FROM paid")) == set(range(1, 8))
        pair.standby = second
        pair.caught_up(primary, standby)
        assert second.sql(standby, COUNT, role="readonly") == ["7"]


def test_a_primary_starts_when_its_standbys_do_not_answer(pair: Pair) -> None:
    with pair.primary.serving() as primary:
        paid(pair.primary, primary, 1)
    assert f"the standby {STANDBY} was not asked for its timeline" in pair.primary.log("postgresql")
