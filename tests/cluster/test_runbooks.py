"""Each disaster, caused on the platform on a node, and ended by its runbook as it is written.

What stands in is said: the damage of a bad release is done by hand right after it, `make rollback` needs an account
and its part is done by the stack's file, and a cluster that is lost is a node taken down, of which the bucket and
the engine's state are kept, as in production neither is a part of the cluster.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from simulator.faults import Fault
from simulator.node import machine, node, programs
from simulator.node.place import FOLDER_SETTING, Place, chosen
from tests.cluster.runbooks import STACK, Operator, Page, Writer
from tests.recorder import ROOT
from tests.tree import copied

pytestmark = [pytest.mark.cluster, pytest.mark.runbooks]

RPO_SECONDS = 300
NETWORK = "10.237.0.0/16"
CUSTOMER = "ghcr.io/fixia/sample-app"
TYPED = f"{STACK}\n"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """At the platform on a node of the test's own; or, while one writes such tests, on the one FIXIA_NODE names."""
    try:
        machine.require()
    except Fault as fault:
        pytest.skip(str(fault))
    if not shutil.which("kubectl") or not shutil.which("jq"):
        pytest.skip("no kubectl or no jq, which the runbooks type")
    missing = programs.missing()
    if missing and os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip(f"no {', '.join(missing)}, and making them takes minutes: `make test-node`")
    own = FOLDER_SETTING not in os.environ
    place = Place(folder=Path("/var/tmp/fixia-runbooks"), network=IPv4Network(NETWORK)) if own else chosen()
    program = copied(tmp_path_factory.mktemp("program"))
    (program / ".venv").symlink_to(ROOT / ".venv")
    made = Operator(place, program)
    try:
        made.up()
        yield made
    finally:
        if own:
            node.down(place)
            with contextlib.suppress(FileNotFoundError):
                place.folder.rmdir()


@pytest.fixture
def orders(operator: Operator) -> list[str]:
    """A table of orders, of which there is a backup, as the database has it."""
    operator.serving()
    operator.sql(
        "DROP TABLE IF EXISTS public.orders",
        "SET ROLE owner",
        "CREATE TABLE public.orders (id bigserial PRIMARY KEY, note text NOT NULL)",
        "INSERT INTO public.orders (note) SELECT md5(i::text) FROM generate_series(1, 5000) i",
    )
    archived(operator)
    return notes(operator)


def notes(operator: Operator) -> list[str]:
    return operator.sql("SELECT count(*), md5(string_agg(id || note, ',' ORDER BY id)) FROM public.orders")


def archived(operator: Operator) -> None:
    """Wait until all that is committed is in the repository, as after a minute."""
    (segment,) = operator.sql("SELECT pg_walfile_name(pg_switch_wal())")
    until = time.monotonic() + 180
    while operator.sql("SELECT last_archived_wal FROM pg_stat_archiver")[0] < segment:
        assert time.monotonic() < until, f"{segment} is not archived"
        time.sleep(1)


def moment(operator: Operator) -> str:
    """Now, by the database's clock, to be gone back to: a commit follows, and is archived."""
    (found,) = operator.sql(
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00')"
    )
    # The next commit is not of the same second.
    operator.sql("SELECT pg_sleep(1.1)")
    return found


def verified(operator: Operator) -> None:
    """What every restore ends with: the Verify part of its page."""
    page = Page.of("restore-the-database")
    operator.serving()
    assert "is done" in operator.does(page, "kubectl -n fixia-data logs database-0 -c postgresql | grep")
    operator.does(
        page, "kubectl -n fixia-data exec database-0 -c postgresql -- /usr/lib/database/probe.sh ready"
    )
    operator.does(page, "kubectl -n fixia-data exec -i database-0 -c postgresql -- psql")
    operator.kubectl("-n", "fixia-data", "delete", "job", "after-restore", "--ignore-not-found")
    operator.does(page, "kubectl -n fixia-data create job --from=cronjob/backups-backup after-restore")
    operator.succeeds("fixia-data", "after-restore")


def with_image(operator: Operator, tag: str) -> None:
    """Another version of the application in the stack's file."""
    file = operator.program / f"Pulumi.{STACK}.yaml"
    file.write_text(re.sub(rf"({CUSTOMER}):\S+", rf"\1:{tag}", file.read_text()))
    assert f"{CUSTOMER}:{tag}" in str(yaml.safe_load(file.read_text()))


def scratch(operator: Operator, page: Page, **filled: str) -> str:
    """Restore beside the live one, as a page says; the Job's name, once it serves."""
    placeholders = {f"<{key.replace('_', ' ')}>": value for key, value in filled.items()}
    said = operator.does(page, "make restore STACK=production SCRATCH=1", filled=placeholders)
    found = re.search(r"job (backups-scratch-\d+) restores", said)
    assert found, said
    until = time.monotonic() + 600
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            log = operator.kubectl("-n", "fixia-restore", "logs", f"job/{found[1]}")
            if '"event":"serving"' in log:
                return found[1]
            assert '"level":"error"' not in log, log
        assert time.monotonic() < until, "no scratch database serves"
        time.sleep(1)


def test_a_release_that_damaged_data(operator: Operator, orders: list[str]) -> None:
    page = Page.of("disaster-bad-deploy")
    with_image(operator, "1.0.1")
    operator.up()
    operator.sql("UPDATE public.orders SET note = 'damaged'")
    assert notes(operator) != orders

    operator.does(page, "kubectl -n fixia-app get jobs")
    told = operator.does(page, "kubectl -n fixia-data exec deploy/backups-monitor")
    (taken,) = [line for line in told.splitlines() if line.endswith(f"before {CUSTOMER}:1.0.1")]
    with_image(operator, "1.0.0")
    operator.up()
    operator.does(page, "make restore", given=TYPED, filled={"<the label>": taken.split()[1]})
    verified(operator)
    assert notes(operator) == orders
    assert operator.left(page) == {"make rollback STACK=production"}


def test_data_that_were_deleted(operator: Operator, orders: list[str]) -> None:
    page = Page.of("disaster-data-deleted")
    operator.kubectl("-n", "fixia-data", "delete", "job", "dump-now", "--ignore-not-found")
    operator.does(Page.of("dump-late"), "kubectl -n fixia-data create job --from=cronjob/backups-dump")
    operator.succeeds("fixia-data", "dump-now")
    before = moment(operator)
    operator.sql(
        "DELETE FROM public.orders WHERE id <= 100", "INSERT INTO public.orders (note) VALUES ('later')"
    )
    archived(operator)

    operator.does(page, "kubectl -n fixia-app logs", code=None)
    job = scratch(operator, page, the_moment_before=before)
    operator.does(page, "kubectl -n fixia-restore exec", filled={"JOB": job, "CONDITION": "id <= 100"})
    operator.kubectl("-n", "fixia-restore", "delete", "job", job)
    (whole,) = operator.sql("SELECT count(*) FROM public.orders WHERE note <> 'later'")
    assert whole == "5000"
    assert operator.sql("SELECT count(*) FROM public.orders WHERE note = 'later'") == ["1"]

    said = operator.does(page, "make restore STACK=production TABLE=public.orders")
    found = re.search(r"public\.orders of \S+ is (\S+) now", said)
    assert found, said
    assert len(operator.sql(f"TABLE {found[1]}")) == 5000
    operator.sql(f"DROP SCHEMA {found[1].split('.')[0]} CASCADE")
    assert operator.left(page) == set()


def test_a_data_folder_that_is_deleted_under_write_load(operator: Operator, orders: list[str]) -> None:
    down, page = Page.of("database-down"), Page.of("restore-the-database")
    writer = Writer(operator)
    with writer.writing():
        until = time.monotonic() + 90
        while time.monotonic() < until:  # a minute at least: so often is archived without a full segment
            time.sleep(1)
        disaster = time.time()
        operator.kubectl(
            *("-n", "fixia-data", "exec", "database-0", "-c", "postgresql", "--"),
            *("sh", "-c", "rm -rf /var/lib/postgresql/data/pgdata; kill -9 1 || true"),
        )
        operator.kubectl("-n", "fixia-data", "delete", "pod", "database-0", "--grace-period=5")
    assert len(writer.acknowledged) > 100

    for beginning in ("get pods -l", "describe pod", "logs database-0 -c postgresql"):
        operator.does(down, f"kubectl -n fixia-data {beginning}", code=None)
    # Nobody can be asked how the moment is reached, and so it says.
    refused = operator.does(page, "make restore STACK=production TO=latest", given=TYPED, code=2)
    assert "NEW_CLUSTER=1" in refused
    began = time.time()
    operator.does(page, "make restore STACK=production TO=latest NEW_CLUSTER=1", given=TYPED)
    operator.serving()
    print(f"measured: RTO {time.time() - began:.0f} s, from the command to the first write")
    kept = {int(number) for number in operator.sql("SELECT id FROM public.orders")}
    lost = writer.lost(kept, disaster)
    print(f"measured: RPO {lost:.1f} s, of {len(writer.acknowledged)} batches under load")
    assert lost < RPO_SECONDS
    verified(operator)


def test_a_page_that_rots(operator: Operator, orders: list[str]) -> None:
    page = Page.of("disaster-database-corruption")
    whole = moment(operator)
    (file,) = operator.sql("CHECKPOINT", "SELECT pg_relation_filepath('public.orders')")
    archived(operator)
    rot = f"printf rotten | dd of=/var/lib/postgresql/data/pgdata/{file} bs=1 seek=4096 conv=notrunc"
    operator.kubectl("-n", "fixia-data", "exec", "database-0", "-c", "postgresql", "--", "sh", "-c", rot)
    operator.kubectl("-n", "fixia-data", "delete", "pod", "database-0")
    operator.serving()
    with pytest.raises(subprocess.CalledProcessError) as seen:
        operator.sql("SELECT count(note) FROM public.orders")
    assert "invalid page in block" in seen.value.stderr

    told = operator.does(page, "kubectl -n fixia-data exec -i database-0 -c postgresql -- psql")
    assert re.search(r"fixia *\| *[1-9]", told), told
    job = scratch(operator, page, a_moment_before_the_first_error=whole)
    check = page.command("/usr/lib/postgresql/17/bin/pg_amcheck")
    operator.done[page.name].add(check)
    operator.types(f"kubectl -n fixia-restore exec job/{job} -- {check}")
    operator.kubectl("-n", "fixia-restore", "delete", "job", job)
    operator.does(Page.of("restore-the-database"), "make restore STACK=production TO=latest", given=TYPED)
    verified(operator)
    assert notes(operator) == orders
    for namespace, name in (("fixia-data", "after-restore"), ("fixia-restore", "proof-now")):
        operator.kubectl("-n", namespace, "delete", "job", name, "--ignore-not-found")
        operator.does(page, f"kubectl -n {namespace} create job")
        operator.succeeds(namespace, name)
    # Of a restore test that had found it.
    assert {command.split(" | ")[0] for command in operator.left(page)} == {
        "kubectl -n fixia-restore logs job/JOB"
    }


def test_a_cluster_that_is_lost(operator: Operator, orders: list[str], tmp_path: Path) -> None:
    page = Page.of("disaster-cluster-lost")
    archived(operator)
    place = operator.place
    for kept in (place.objects, place.folder / "engine"):
        subprocess.run(["cp", "-a", kept, tmp_path], check=True)
    operator.types(f"{sys.executable} -m simulator node down")
    assert not place.objects.exists()
    operator.types(f"{sys.executable} -m simulator node up")
    for part in ("objects", "engine"):
        subprocess.run(["cp", "-a", tmp_path / part, place.folder], check=True)

    began = time.time()
    operator.does(page, "make restore STACK=production TO=latest NEW_CLUSTER=1", given=TYPED)
    print(f"measured: {time.time() - began:.0f} s from the command to the whole platform on a new cluster")
    operator.serving()
    assert notes(operator) == orders
    operator.does(page, "kubectl -n fixia-data exec -i database-0")
    operator.does(page, "kubectl -n fixia-data create job --from=cronjob/backups-backup first")
    operator.succeeds("fixia-data", "first")
    verified(operator)
    assert {command.split(" -n ")[0] for command in operator.left(page)} <= {"kubectl"}
