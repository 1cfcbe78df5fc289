"""The Kubernetes objects of a stack as plain manifests, just as the provider sends them.

The program is brought up for real, by the real engine in a simulated cloud: what its inputs are then, with
every name, namespace and generated credential, is what the provider would send to the cluster.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

from simulator.faults import Fault
from simulator.providers.values import SECRET_SIGNATURE, SIGNATURE
from simulator.session import Session
from simulator.stack_file import stacks, unknown_stack, with_placeholders

Manifest = dict[str, Any]
"""An object of the API as plain data."""

HIDDEN: Final = "(secret)"
"""What stands in the place of a secret."""

_TAIL: Final = 30
_BUNDLES: Final = ("kubernetes:helm.sh", "kubernetes:yaml", "kubernetes:kustomize")
"""Resources of the provider that are no objects themselves."""


def render(
    program: Path, stack: str, find_engine: Callable[[], Path], *, show_secrets: bool = False
) -> list[Manifest]:
    """Bring a stack up in a simulated cloud and return its Kubernetes objects.

    Args:
        program: the folder of the program's `Pulumi.yaml`.
        stack: one of its stacks. Placeholders stand for the secrets in its file.
        find_engine: returns the `pulumi` program. Called when the stack is known to exist: a first call may
            take minutes.
        show_secrets: whether secret values are there; else `HIDDEN` is, in the place of each.

    Returns:
        The objects, in the order in which they were created.

    Raises:
        Fault: there is no such stack, or the program can't be brought up.
    """
    if stack not in stacks(program):
        raise unknown_stack(program / f"Pulumi.{stack}.yaml")
    with Session(find_engine()) as session:
        settings = session.folder / f"Pulumi.{stack}.yaml"
        with_placeholders(program / settings.name, settings)
        session.init(stack, program)
        up = session.pulumi(
            *("up", "--yes", "--skip-preview", "--stack", stack, "--config-file", str(settings)),
            program=program,
            capture=True,
        )
        if up.returncode:
            raise _failed(stack, up.stdout + up.stderr)
        # Not in the program's folder: the engine would write its salt into the stack's file there.
        (elsewhere,) = (session.folder / "projects").iterdir()
        export = session.pulumi(
            *("stack", "export", "--show-secrets", "--stack", stack), program=elsewhere, capture=True
        )
        if export.returncode:
            raise _failed(stack, export.stderr)
    resources = json.loads(export.stdout)["deployment"].get("resources", [])
    return [_plain(resource["inputs"], show_secrets) for resource in resources if _is_object(resource)]


def to_yaml(manifests: list[Manifest]) -> str:
    """Write manifests as a stream of YAML documents.

    Args:
        manifests: the objects.
    """
    return yaml.safe_dump_all(manifests, sort_keys=False, explicit_start=True, width=110)


def _is_object(resource: Manifest) -> bool:
    """Tell whether a resource of the state is an object of the API that the program makes."""
    kind: str = resource["type"]
    return (
        resource["custom"]
        and kind.startswith("kubernetes:")
        and not kind.startswith(_BUNDLES)
        and not kind.endswith("Patch")
    )


def _plain(value: Any, show_secrets: bool) -> Any:
    """The value without the engine's own keys and marks."""
    if isinstance(value, list):
        return [_plain(item, show_secrets) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get(SIGNATURE) == SECRET_SIGNATURE:
        secret = _plain(json.loads(value["plaintext"]), show_secrets)
        return secret if show_secrets else _hidden(secret)
    return {key: _plain(item, show_secrets) for key, item in value.items() if not key.startswith("__")}


def _hidden(secret: Any) -> Any:
    """The shape of a secret, without its values."""
    if isinstance(secret, dict):
        return {key: _hidden(item) for key, item in secret.items()}
    return HIDDEN


def _failed(stack: str, output: str) -> Fault:
    return Fault(
        where=f"stack {stack!r}",
        found="its program can't be brought up:\n" + "\n".join(output.splitlines()[-_TAIL:]),
        valid="a program whose preview succeeds",
        do=f"make preview STACK={stack}",
    )
