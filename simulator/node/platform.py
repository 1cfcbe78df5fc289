"""The platform on a cluster: the program, brought up by the real engine where what it is given runs.

Unless KUBECONFIG names another cluster, that is the node's. The engine's home and state are in the node's
folder and go with it. Kubernetes is real; AWS, Cloudflare and the others stay simulated. What a stack's file
leaves to its owners to set is set for what stands beside the node, or has a placeholder as in a preview.
"""

import hashlib
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from simulator import cache, locks
from simulator.faults import USAGE, Fault
from simulator.node import addons, catalogue, node, outside
from simulator.node.place import Place
from simulator.node.provider import AT_ONCE, CLUSTER
from simulator.programs import definitions
from simulator.progress import Progress
from simulator.session import Session
from simulator.stack_file import stacks, unknown_stack, with_placeholders, without

STACK: Final = "local"
KUBECONFIG: Final = "KUBECONFIG"

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_BACKUPS: Final = ("fixia:backup",)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A cluster that the platform is brought up in.

    Attributes:
        kubeconfig: how it is reached.
        folder: the engine's home and state.
        values: what the stack's owners would have set: the name below `fixia:secrets` -> the value.
        missing: parts of the settings that are left out, because the cluster lacks what they need.
    """

    kubeconfig: Path
    folder: Path
    values: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[tuple[str, ...]] = ()


def foreign(place: Place) -> Path | None:
    """Return the kubeconfig of a cluster that is not the node's, if the user has named one.

    Args:
        place: the node's.

    Raises:
        Fault: it is no file.
    """
    named = os.environ.get(KUBECONFIG)
    if not named or Path(named).resolve() == place.kubeconfig.resolve():
        return None
    if not Path(named).is_file():
        raise Fault(
            where=KUBECONFIG,
            found=f"{named!r} is no file",
            valid="one file whose current context is a cluster, with the keys inside",
            do="write one: kubectl config view --minify --flatten > cluster.yaml; or leave it out",
            exit_code=USAGE,
        )
    return Path(named).resolve()


def up(
    place: Place,
    program: Path,
    find_engine: Callable[[], Path],
    extra: Sequence[str] = (),
    stack: str = STACK,
) -> int:
    """Bring a stack up: on the cluster that KUBECONFIG names, or on a node, and the node first.

    Args:
        place: the node's.
        program: the program's folder.
        find_engine: gives the `pulumi` program, built first if need be.
        extra: more arguments of `pulumi up`.
        stack: the stack.

    Returns:
        The engine's exit status.

    Raises:
        Fault: this machine can't carry a node, or the stack does not exist.
    """
    stack_file = program / f"Pulumi.{stack}.yaml"
    if stack not in stacks(program):
        raise unknown_stack(stack_file)
    progress = Progress()
    named = foreign(place)
    ground = _given(named, progress) if named else _node(place, stack_file, progress)
    session = _session(ground, find_engine)
    with locks.exclusive(session.folder / "lock", progress, "engine"):
        return _brought_up(session, ground, program, stack, extra)


def down(place: Place, program: Path, find_engine: Callable[[], Path], stack: str = STACK) -> int:
    """Take the stack down again on the cluster that KUBECONFIG names, or else the whole node.

    Args:
        place: the node's.
        program: the program's folder.
        find_engine: gives the `pulumi` program.
        stack: the stack.

    Returns:
        The exit status.

    Raises:
        Fault: something can't be removed.
    """
    progress = Progress()
    named = foreign(place)
    if not named:
        if not node.down(place, progress):
            progress.say(node.SUBJECT, "there is none")
        return 0
    session = _session(_given(named), find_engine)
    with locks.exclusive(session.folder / "lock", progress, "engine"):
        if not _has(session, stack, program):
            progress.say("engine", f"{stack} is not up there")
            return 0
        session.pulumi("cancel", "--yes", "--stack", stack, program=program, capture=True)
        arguments = ("destroy", "--yes", "--skip-preview", "--remove", "--stack", stack)
        settings = ("--config-file", str(session.folder / f"Pulumi.{stack}.yaml"))
        return session.pulumi(*arguments, *settings, program=program, env={CLUSTER: str(named)}).returncode


def prepare(place: Place, stack_file: Path, progress: Progress) -> Sequence[tuple[str, ...]]:
    """Give a node what the platform asks of its cluster: its images, and cert-manager's kinds.

    Args:
        place: the node's; it runs.
        stack_file: names the images.
        progress: where it is told.

    Returns:
        The parts of the settings that go with images which no node can have.

    Raises:
        Fault: an image can't be made, or the cluster refuses something.
    """
    names = catalogue.named_in(stack_file)
    absent = {name: why for name in names if (why := catalogue.absent(name))}
    for name, reason in absent.items():
        progress.say(node.SUBJECT, f"{name} is left out: {reason.why}")
    there = (name for name in names if name not in absent)
    node.load(place, (catalogue.image(name, progress) for name in there), progress)
    with node.client(place) as client:
        for manifest in definitions.definitions(definitions.CERT_MANAGER, progress):
            addons.apply_one(client, manifest)
    return [reason.section for reason in absent.values()]


def _node(place: Place, stack_file: Path, progress: Progress) -> Ground:
    node.up(place, progress)
    missing = prepare(place, stack_file, progress)
    return Ground(
        kubeconfig=place.kubeconfig,
        folder=place.folder / "engine",
        values=outside.credentials(place),
        missing=missing,
    )


def _given(kubeconfig: Path, progress: Progress | None = None) -> Ground:
    """A cluster of the user's: it pulls images by itself, and has cert-manager or not."""
    if progress:
        progress.say("cluster", f"{kubeconfig} is used, with its own images and cert-manager")
        progress.say("cluster", f"{_BACKUPS[0]} is left out: no S3 is known beside it")
    mark = hashlib.sha256(str(kubeconfig).encode()).hexdigest()[:8]
    return Ground(kubeconfig=kubeconfig, folder=cache.root() / "clusters" / mark, missing=[_BACKUPS])


def _brought_up(session: Session, ground: Ground, program: Path, stack: str, extra: Sequence[str]) -> int:
    settings = session.folder / f"Pulumi.{stack}.yaml"
    with_placeholders(program / settings.name, settings)
    for section in ground.missing:
        without(settings, section)
    if not _has(session, stack, program):
        session.init(stack, program)
    _set(session, settings, ground.values, program, stack)
    # A run that was killed has left the state locked, and nobody else is at it now.
    session.pulumi("cancel", "--yes", "--stack", stack, program=program, capture=True)
    # The engine's own limit goes by the cores: pods that wait for a certificate would take all places.
    arguments = ["up", "--yes", "--skip-preview", f"--parallel={AT_ONCE}", "--stack", stack]
    arguments += ["--config-file", str(settings), *extra]
    return session.pulumi(*arguments, program=program, env={CLUSTER: str(ground.kubeconfig)}).returncode


def _set(session: Session, settings: Path, values: Mapping[str, str], program: Path, stack: str) -> None:
    """Set what the stack's file leaves to its owners, as they would."""
    for name, value in values.items():
        path = f"fixia:secrets.{name}.value"
        command = (
            "config",
            "set",
            "--secret",
            "--path",
            path,
            "--stack",
            stack,
            "--config-file",
            str(settings),
        )
        done = session.pulumi(*command, program=program, capture=True, given=value)
        if done.returncode:
            raise Fault(
                where=f"{settings}: {path}",
                found=f"the engine does not take it:\n{done.stderr.strip()}",
                valid="a stack's file that the engine can read",
                do="put right what it says",
            )


def _session(ground: Ground, find_engine: Callable[[], Path]) -> Session:
    """An engine's home and state for a cluster, whose kubernetes plugin acts on that."""
    session = Session(find_engine(), ground.folder)
    (plugin,) = session.home.glob("plugins/resource-kubernetes-*/pulumi-resource-kubernetes")
    command = shlex.join([sys.executable, "-P", "-m", "simulator.node.provider"])
    exports = f"export PYTHONPATH={shlex.quote(str(_REPOSITORY))}\n"
    plugin.write_text(f'#!/bin/sh\n{exports}exec {command} "$@"\n', encoding="utf-8")
    return session


def _has(session: Session, stack: str, program: Path) -> bool:
    listed = session.pulumi("stack", "ls", "--json", program=program, capture=True)
    if listed.returncode:
        raise Fault(
            where=str(session.folder),
            found=f"the engine can't read its state:\n{listed.stderr.strip()}",
            valid="the state that an earlier run left",
            do="take the node down and bring it up again",
        )
    return f'"name": "{stack}"' in listed.stdout
