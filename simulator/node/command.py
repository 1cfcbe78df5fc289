"""The node's commands: `python -m simulator node up|status|down|load`."""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulator.node.place import FOLDER_SETTING, NAME, NETWORK_SETTING, Place, chosen
from simulator.progress import Progress

if TYPE_CHECKING:
    from simulator.node.node import State

NOT_READY: Final = 1


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to a program's commands.

    Args:
        commands: the program's.
    """
    parser = commands.add_parser(
        "node",
        help="a real Kubernetes of one node on this machine",
        description="A real Kubernetes of one node on this machine, from the package registries alone. "
        f"Linux, as root. All that it keeps is in {Place().folder} ({FOLDER_SETTING}); its addresses are "
        f"{Place().network} ({NETWORK_SETTING}).",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    up = actions.add_parser("up", help="start it, and wait until it carries pods")
    up.set_defaults(run=_up)
    status = actions.add_parser("status", help="what runs; ends with 1 unless it is ready")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=_status)
    down = actions.add_parser(
        "down", help="end it, and leave nothing behind; of KUBECONFIG's cluster, the stack"
    )
    down.add_argument("--stack", default="local", help="the stack, as in Pulumi.<stack>.yaml")
    down.set_defaults(run=_down)
    platform = actions.add_parser("platform", help="bring a stack up on it, and it first")
    platform.add_argument("--stack", default="local", help="the stack, as in Pulumi.<stack>.yaml")
    platform.add_argument("extra", nargs="*", metavar="-- ...", help="more arguments of `pulumi up`")
    platform.set_defaults(run=_platform)
    load = actions.add_parser("load", help="give it the images that a stack's file names")
    load.add_argument("--stack", default="local", help="the stack, as in Pulumi.<stack>.yaml")
    load.add_argument("images", nargs="*", metavar="IMAGE", help="these alone, by their names with tags")
    load.set_defaults(run=_load)


# What a node is made with is imported by its commands: every other command begins without it.


def _up(_: argparse.Namespace) -> int:
    from simulator.node import node

    place = chosen()
    node.up(place)
    print(f"export KUBECONFIG={place.kubeconfig}")
    return 0


def _platform(options: argparse.Namespace) -> int:
    from simulator.engine.install import engine
    from simulator.node import platform

    place = chosen()
    code = platform.up(place, Path.cwd(), engine, options.extra, options.stack)
    if not code and not platform.foreign(place):
        from simulator.node import node

        print("\n".join(_lines(place, node.status(place))))
    return code


def _down(options: argparse.Namespace) -> int:
    from simulator.engine.install import engine
    from simulator.node import platform

    return platform.down(chosen(), Path.cwd(), engine, options.stack)


def _load(options: argparse.Namespace) -> int:
    from simulator.node import catalogue, node

    progress = Progress()
    names = options.images or catalogue.named_in(Path.cwd() / f"Pulumi.{options.stack}.yaml")
    for name in names:
        if reason := catalogue.absent(name):
            progress.say(node.SUBJECT, f"{name} is left out: {reason.why}")
    there = (name for name in names if not catalogue.absent(name))
    node.load(chosen(), (catalogue.image(name, progress) for name in there), progress)
    return 0


def _status(options: argparse.Namespace) -> int:
    from simulator.node import node

    place = chosen()
    state = node.status(place)
    if options.json:
        print(json.dumps(asdict(state), indent=2))
    else:
        print("\n".join(_lines(place, state)))
    return 0 if state.ready else NOT_READY


def _lines(place: Place, state: "State") -> list[str]:
    """A node's state for people."""
    from simulator.node import catalogue

    if not state.running:
        if state.remains:
            return [f"{NAME}: not running; `down` removes what is left: {', '.join(state.remains)}"]
        return [f"{NAME}: there is none; `up` makes one"]
    lines = [f"{NAME}: {'ready' if state.ready else 'not ready'}, {place.url}, KUBECONFIG={place.kubeconfig}"]
    for part in state.parts:
        now = f"for {time.time() - part['since']:.0f} s" if part["pid"] else "not running"
        again = f"; {part['restarts']} restarts, the last as it {part['lastEnd']}" if part["restarts"] else ""
        lines.append(f"  part {part['name']:<24} {part['pid'] or '-':>8}  {now}{again}")
    for pod in state.pods:
        ready = "ready" if pod["ready"] else pod["phase"]
        again = f", {pod['restarts']} restarts" if pod["restarts"] else ""
        lines.append(f"  pod  {pod['namespace']}/{pod['name']}: {ready}{again}")
    lines += [f"  host {host['url']}: {host['command']}" for host in state.hosts]
    lines += [
        f"  alert {each['name']} ({each['severity']}): {each['summary']}; {each['runbook']}"
        for each in state.alerts
    ]
    for name, said in sorted(state.stand_ins.items()):
        lines.append(f"  stand-in {name}: {said}")
    lines += [f"  left out {name}: {reason.why}" for name, reason in sorted(catalogue.ABSENT.items())]
    return lines
