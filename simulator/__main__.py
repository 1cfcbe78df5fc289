"""The simulator's commands: `python -m simulator preview --stack staging`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from simulator.engine.install import engine
from simulator.node import command as node
from simulator.preview import Preview
from simulator.processes import guarded
from simulator.progress import Progress
from simulator.render import render, to_yaml


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the command line without the program's name; the process's own if left out.

    Returns:
        The exit status: the engine's own, or that of a fault.
    """
    options = _parser().parse_args(arguments)
    status = 0

    def command() -> None:
        nonlocal status
        status = options.run(options)

    return guarded("simulator", command) or status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    preview = commands.add_parser(
        "preview",
        help="preview a stack with the real engine over simulated providers",
        description="Preview a stack with the real engine over simulated providers. Needs no account and "
        "contacts nothing. Writes build/preview-<stack>.md and .json.",
    )
    preview.add_argument("--base", metavar="REF", help="compare with this git revision instead of nothing")
    preview.add_argument("--diff", action="store_true", help="have the engine print every property")
    preview.add_argument("extra", nargs="*", metavar="-- ...", help="more arguments of `pulumi preview`")
    preview.set_defaults(run=_preview)
    render = commands.add_parser(
        "render",
        help="print a stack's Kubernetes objects",
        description="Print a stack's Kubernetes objects as YAML, in the order of their creation and as the "
        "provider would send them, without secret values. Needs no account and contacts nothing.",
    )
    render.set_defaults(run=_render)
    policy = commands.add_parser(
        "policy",
        help="run the policy pack alone on a stack",
        description="Preview a stack with the real engine over simulated providers, and print what the "
        "policy pack found. Ends with 1 if a mandatory policy is broken. Needs no account, contacts nothing.",
    )
    policy.set_defaults(run=_policy)
    for command in (preview, render, policy):
        command.add_argument("--stack", required=True, help="the stack, as in Pulumi.<stack>.yaml")
        command.add_argument(
            "--program", type=Path, default=Path.cwd(), metavar="FOLDER", help="default: the current folder"
        )
    node.add_to(commands)
    return parser


def _preview(options: argparse.Namespace) -> int:
    preview = Preview(
        program=options.program.resolve(),
        stack=options.stack,
        base=options.base,
        extra=[*(["--diff"] if options.diff else []), *options.extra],
    )
    return preview.run(engine)


def _policy(options: argparse.Namespace) -> int:
    return Preview(program=options.program.resolve(), stack=options.stack).policies(engine)


def _render(options: argparse.Namespace) -> int:
    with Progress().step("render", f"bringing {options.stack} up in a simulated cloud") as step:
        manifests = render(options.program.resolve(), options.stack, engine)
        step.outcome = f"{len(manifests)} objects"
    print(to_yaml(manifests), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
