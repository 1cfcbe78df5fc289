"""The platform on a node: the program, brought up by the real engine in a cluster that runs what it is given.

The engine's home and state are in the node's folder and go with it. Kubernetes is real; AWS, Cloudflare and
the others stay simulated. What a stack's file leaves to its owners to set has a placeholder, as in a preview.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from simulator import locks
from simulator.faults import Fault
from simulator.node import addons, catalogue, certificates, node
from simulator.node.client import Manifest
from simulator.node.place import Place
from simulator.node.provider import AT_ONCE, CLUSTER
from simulator.programs import definitions
from simulator.progress import Progress
from simulator.session import Session
from simulator.stack_file import stacks, unknown_stack, with_placeholders

STACK: Final = "local"

_REPOSITORY: Final = Path(__file__).resolve().parents[2]


def up(
    place: Place,
    program: Path,
    find_engine: Callable[[], Path],
    extra: Sequence[str] = (),
    stack: str = STACK,
) -> int:
    """Bring a stack up on a node, and the node first.

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
    if stack not in stacks(program):
        raise unknown_stack(program / f"Pulumi.{stack}.yaml")
    progress = Progress()
    node.up(place, progress)
    prepare(place, program / f"Pulumi.{stack}.yaml", progress)
    session = _session(place, find_engine)
    with locks.exclusive(session.folder / "lock", progress, "engine"):
        return _brought_up(session, place, program, stack, extra)


def _brought_up(session: Session, place: Place, program: Path, stack: str, extra: Sequence[str]) -> int:
    settings = session.folder / f"Pulumi.{stack}.yaml"
    with_placeholders(program / settings.name, settings)
    if not _has(session, stack, program):
        session.init(stack, program)
    # A run that was killed has left the state locked, and nobody else is at it now.
    session.pulumi("cancel", "--yes", "--stack", stack, program=program, capture=True)
    # The engine's own limit goes by the cores: pods that wait for a certificate would take all places.
    arguments = ["up", "--yes", "--skip-preview", f"--parallel={AT_ONCE}", "--stack", stack]
    arguments += ["--config-file", str(settings), *extra]
    return session.pulumi(*arguments, program=program, env={CLUSTER: str(place.kubeconfig)}).returncode


def prepare(place: Place, stack_file: Path, progress: Progress) -> None:
    """Give a node what the platform asks of its cluster: its images, and cert-manager's kinds.

    Args:
        place: the node's; it runs.
        stack_file: names the images.
        progress: where it is told.

    Raises:
        Fault: an image can't be made, or the cluster refuses something.
    """
    names = catalogue.named_in(stack_file)
    for name in names:
        if why := catalogue.absent(name):
            progress.say(node.SUBJECT, f"{name} is left out: {why}")
    there = (name for name in names if not catalogue.absent(name))
    node.load(place, (catalogue.image(name, progress) for name in there), progress)
    namespace: Manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": certificates.NAMESPACE},
    }
    with node.client(place) as client:
        for manifest in (namespace, *definitions.definitions(definitions.CERT_MANAGER, progress)):
            addons.apply_one(client, manifest)


def _session(place: Place, find_engine: Callable[[], Path]) -> Session:
    """The engine's home and state of a node, whose kubernetes plugin acts on the node's cluster."""
    session = Session(find_engine(), place.folder / "engine")
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
