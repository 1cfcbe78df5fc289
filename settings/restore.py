"""Brings a stack's database back to a moment of the past.

`python -m settings.restore --stack production --to "2026-11-20 14:03:00+00"` shows what it would do, asks,
writes `database.restore` into the stack's file, and runs `pulumi up`; the database's pod does the rest. With
`--scratch` it restores beside the live database instead, with `--table` one table of a dump into a schema of
its own; both change nothing that is there. It ends with 2 if it refuses.
"""

import argparse
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml

from components.backup.restore import Restore
from settings.restore_cluster import DATABASE, Cluster, ClusterError, NoPodError, Way

USAGE: Final = 2
FRESH: Final = timedelta(hours=1)
"""A backup that is older is made anew before anything is overwritten."""
SNAPSHOT_SECONDS: Final = 2 * 3600
STOPPED: Final = 130


class RefusedError(Exception):
    """Nothing was changed, and why."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the operator wants."""

    stack: str
    to: str
    label: str | None
    file: Path
    gone: bool
    have_one: bool
    sure: bool
    up: Sequence[str]
    """What brings the stack up."""


def restore_of(text: str) -> int:
    """The number of the restore that a stack's file tells of; 0 if of none.

    Raises:
        RefusedError: the file has no section of the database.
    """
    node = dict(_pairs(_section(text)[1])).get("restore")
    number = dict(_pairs(node)).get("id")
    return int(number.value) if isinstance(number, yaml.ScalarNode) else 0


def with_restore(text: str, restore: Restore) -> str:
    """The stack's file with another restore; everything else, comments too, stays as it is.

    Raises:
        RefusedError: the file has no section of the database, or it is not written over lines.
    """
    written = (
        f'{{id: {restore.id}, to: "{restore.to}"' + (f', set: "{restore.set}"' if restore.set else "") + "}"
    )
    key, section = _section(text)
    node = dict(_pairs(section)).get("restore")
    if node is not None:
        before, old = text[: node.start_mark.index], text[node.start_mark.index : node.end_mark.index]
        return before + written + old[len(old.rstrip()) :] + text[node.end_mark.index :]
    pairs = _pairs(section)
    if section.flow_style or not pairs:
        raise RefusedError(f"{key}: write this section over several lines, then run this again")
    first = section.value[0][0].start_mark
    return text[: first.index] + f"restore: {written}\n{' ' * first.column}" + text[first.index :]


def plan(told: Told, cluster: Cluster, way: Way | None, number: int) -> list[str]:
    """What would be done, a line each."""
    seconds = None if told.gone else cluster.measured_seconds()
    if way is None:
        source, lost = "the repository; the pod refuses what can't be reached", "what was there"
    else:
        source = f"backup {way.backup}; it can be from {_stamp(way.earliest)} to {_stamp(way.newest)}"
        since = f"backup {way.backup}" if told.to == "backup" else told.to
        lost = "nothing that was archived" if told.to == "latest" else f"everything after {since}"
    duration = (
        f"about {seconds / 60:.0f} min, as the last restore test took" if seconds else "not measured yet"
    )
    return [
        f"stack     {told.stack}, {'a new cluster' if told.gone else 'cluster ' + cluster.name()}",
        f"restore   {number}, to {told.to}",
        f"from      {source}",
        f"lost      {lost}; the repository keeps it, and a later restore can still get there",
        "standbys  are made anew after it; readers wait until then",
        f"downtime  {duration}",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, or 2 if it refuses; or what `pulumi up` ended with.
    """
    parser = argparse.ArgumentParser(prog="python -m settings.restore", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--to", default="latest", help="latest, backup, or a time with its zone")
    parser.add_argument("--set", dest="label", help="the backup to begin with")
    parser.add_argument("--scratch", action="store_true", help="beside the live database")
    parser.add_argument("--table", help="one table of a dump, such as public.orders")
    parser.add_argument("--dump", help="which dump; the newest unless told")
    parser.add_argument("--i-have-one", action="store_true", help="go on without a fresh backup")
    parser.add_argument("--new-cluster", action="store_true", help="the old one is gone; ask it nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--namespace", default="fixia-data", help="the database's")
    parser.add_argument("--restore-namespace", default="fixia-restore", help="of copies that are looked into")
    parser.add_argument("--context", help="kubectl's; its current one unless told")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    parser.add_argument(
        "--up", default="", help="the command that brings the stack up; `pulumi up` unless told"
    )
    given = parser.parse_args(arguments)
    cluster = Cluster(given.namespace, given.context or None)
    try:
        if given.table:
            return _table(cluster, given.table, given.dump)
        if given.scratch:
            beside = Cluster(given.restore_namespace, given.context or None)
            return _scratch(beside, given.to, given.label)
        told = Told(
            stack=given.stack,
            to=given.to,
            label=given.label or None,
            file=given.program / f"Pulumi.{given.stack}.yaml",
            gone=given.new_cluster,
            have_one=given.i_have_one,
            sure=given.yes,
            up=shlex.split(given.up) or _pulumi(given.stack, sure=given.yes, gone=given.new_cluster),
        )
        _restore(told, cluster)
    except (RefusedError, ClusterError, ValueError) as error:
        print(f"refused: {error}\n  nothing was changed", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("\nstopped: nothing was changed", file=sys.stderr)
        return STOPPED
    return _up(told, given.program, cluster)


def _pulumi(stack: str, *, sure: bool, gone: bool) -> list[str]:
    command = ["pulumi", "up", "--stack", stack, "--policy-pack", "policies"]
    # The state may still tell of what the old cluster had.
    return [*command, *(["--refresh"] if gone else []), *(["--yes"] if sure else [])]


def _up(told: Told, program: Path, cluster: Cluster) -> int:
    print(
        "the pod says how far it is, also when pulumi no longer waits:\n"
        f"  kubectl -n {cluster.namespace} logs -f {DATABASE}-0 -c postgresql",
        flush=True,
    )
    code = subprocess.run(told.up, cwd=program, check=False).returncode
    if code:
        print(
            f"{told.up[0]} ended with {code}; {told.file.name} tells of the restore all the same\n"
            f"  to do:  `{shlex.join(told.up)}` once more, it is done once however often;\n"
            "          or take `database.restore` out",
            file=sys.stderr,
        )
    return code


def _restore(told: Told, cluster: Cluster) -> None:
    if not shutil.which(told.up[0]):
        raise RefusedError(f"{told.up[0]}: no such program; install it, or add it to PATH")
    if not told.file.is_file():
        raise RefusedError(f"{told.file}: there is no such stack file; name a stack that has one")
    text = told.file.read_text(encoding="utf-8")
    number = restore_of(text) + 1
    wanted = Restore(id=number, to=told.to, set=told.label)
    changed = with_restore(text, wanted)
    try:
        way = None if told.gone else cluster.way(told.to, told.label)
    except NoPodError as error:
        raise RefusedError(
            f"the database's pod can't be asked for the way there:\n{error}\n"
            "  to do:  if that is why it is to be restored, NEW_CLUSTER=1 asks nobody, and the pod itself\n"
            "          refuses what can't be reached; is it the wrong cluster: kubectl config use-context"
        ) from None
    print("\n".join(plan(told, cluster, way, number)))
    if not told.sure:
        print(f"Type the stack's name to do it: {told.stack}")
        if sys.stdin.readline().strip() != told.stack:
            raise RefusedError("that is not the stack's name")
    if not told.gone and not told.have_one:
        _require_backup(cluster, number)
    new = told.file.with_suffix(".yaml.new")
    new.write_text(changed, encoding="utf-8")
    new.replace(told.file)
    print(f"{told.file.name} tells of restore {number}; commit it with what you do next")


def _require_backup(cluster: Cluster, number: int) -> None:
    """What is overwritten can still be had afterwards."""
    newest = cluster.newest_backup()
    if newest and datetime.now(UTC) - newest < FRESH:
        return
    name = f"backups-before-restore-{number}-{datetime.now(UTC):%H%M%S}"
    print(
        f"the newest backup is {'of ' + newest.strftime('%Y-%m-%d %H:%M:%S+00') if newest else 'none'}: "
        f"taking one first, job {name}, for up to two hours\n"
        "  (Ctrl-C stops here and changes nothing; I_HAVE_ONE=1 goes on without)",
        flush=True,
    )
    try:
        cluster.start("snapshot", name, {})
        cluster.wait(name, SNAPSHOT_SECONDS)
    except ClusterError as error:
        raise RefusedError(
            f"there is no backup of the last hour, and none could be made:\n{error}\n"
            "  to do:  mend that, or go on without one: I_HAVE_ONE=1"
        ) from None


def _scratch(cluster: Cluster, to: str, label: str | None) -> int:
    Restore(id=1, to=to, set=label)
    name = f"backups-scratch-{datetime.now(UTC):%H%M%S}"
    cluster.start("scratch", name, {"TO": to, "SET": label or ""})
    print(
        f"job {name} restores to {to}; it is ready when its log says `serving`:\n"
        f"  kubectl -n {cluster.namespace} logs -f job/{name}\n"
        f"  kubectl -n {cluster.namespace} exec -it job/{name} -- psql -h /scratch -U postgres fixia\n"
        f"it is gone in eight hours, or with: kubectl -n {cluster.namespace} delete job {name}"
    )
    return 0


def _table(cluster: Cluster, table: str, dump: str | None) -> int:
    name = f"backups-restore-table-{datetime.now(UTC):%H%M%S}"
    cluster.start("restore-table", name, {"TABLE": table, "DUMP": dump or ""})
    cluster.wait(name, 4 * 3600)
    print(cluster.log(name, 1).strip())
    return 0


def _section(text: str) -> tuple[str, yaml.MappingNode]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, section in _pairs(dict(_pairs(root)).get("config")):
        if key.endswith(":database") and isinstance(section, yaml.MappingNode):
            return key, section
    raise RefusedError("the stack's file has no section `database` to restore")


def _pairs(node: yaml.Node | None) -> list[tuple[str, yaml.Node]]:
    return [(key.value, value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S+00")


if __name__ == "__main__":
    sys.exit(main())
