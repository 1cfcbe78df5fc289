"""Runs a Pulumi program against mocks and writes down everything that it registers."""

import json
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi.runtime import get_root_resource, mocks, rpc
from pulumi.runtime.config import set_all_config

ROOT = Path(__file__).parent.parent
STACKS = ("local", "staging", "production")
HASHED = "$2a$10$abcdefghijklmnopqrstuuNobexzqLuryvPseZyV5BcM70ZGGS3um"
"""By bcrypt, of what a recorded password of 40 letters is."""


@dataclass
class Resource:
    """One registration, as the engine would have got it."""

    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    provider: str
    inputs: dict[str, Any]
    outputs: dict[str, Any] | None = None
    """What a component registered at the end of its constructor; None if it never did."""
    options: dict[str, Any] = field(default_factory=dict)


class Recording(mocks.MockMonitor):
    """A monitor that keeps each registration whole; the SDK's own forgets parents and providers."""

    def __init__(self) -> None:
        super().__init__(_Echo())
        self.all: dict[str, Resource] = {}
        self.exports: dict[str, Any] = {}
        """What the program exported, without what the engine would have resolved."""

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 the protocol's name
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            self.all[response.urn] = Resource(
                urn=response.urn,
                type=request.type,
                name=request.name,
                custom=request.custom,
                parent=request.parent,
                provider=request.provider,
                inputs=rpc.deserialize_properties(request.object, keep_unknowns=True),
                options={
                    "protect": request.protect,
                    "aliases": list(request.aliases),
                    "depends_on": list(request.dependencies),
                    "create_timeout": request.customTimeouts.create,
                    "update_timeout": request.customTimeouts.update,
                },
            )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 the protocol's name
        if request.urn in self.all:
            self.all[request.urn].outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def of_type(self, type_: str) -> list[Resource]:
        """All resources of one type token, by name."""
        return sorted((r for r in self.all.values() if r.type == type_), key=lambda r: r.name)

    def one(self, type_: str, name: str) -> Resource:
        """The resource of that type and name."""
        (found,) = [r for r in self.all.values() if r.type == type_ and r.name == name]
        return found

    def children(self, urn: str) -> list[Resource]:
        """The direct children of a resource."""
        return [r for r in self.all.values() if r.parent == urn]


class _Echo(mocks.Mocks):
    """Answers a registration with its own inputs, and a name where the real provider would make one up."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program calls {args.token}, which no test expects")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.typ.startswith("kubernetes:"):
            metadata = {"name": f"{args.name}-made-up", **outputs.get("metadata", {})}
            outputs["metadata"] = metadata
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = "r" * int(args.inputs["length"])
            outputs["bcryptHash"] = HASHED
        if args.typ == "aws:kms/key:Key":
            region = args.inputs.get("region", "region")
            outputs |= {"arn": f"arn:aws:kms:{region}:210987654321:key/{args.name}", "keyId": args.name}
        if args.typ == "aws:iam/role:Role":
            outputs |= {"arn": f"arn:aws:iam::210987654321:role/{args.name}"}
        return f"{args.name}-id", outputs


def record(
    program: Callable[[], Any], *, config: Mapping[str, str] | None = None, stack: str = "test"
) -> Recording:
    """Runs a program to its end, every output resolved, and gives what it registered.

    Args:
        program: makes resources; what it returns is awaited.
        config: configuration as the engine hands it over, keys with their project.
        stack: the stack's name.
    """
    recording = Recording()
    secret_keys = [key for key in config or {} if key.endswith(":secrets")]
    set_all_config(dict(config or {}), secret_keys)
    # Not a preview: there every output would be unknown, and no assertion inside an `apply` would ever run.
    mocks.set_mocks(_Echo(), project="fixia", stack=stack, preview=False, monitor=recording)
    root: Any = get_root_resource()  # One for all recordings of a process: no program sees another's.
    root._transformations, root.outputs = [], {}
    mocks.test(program)()
    recording.exports = dict(root.outputs)
    return recording


def stack_config(stack: str) -> dict[str, str]:
    """The configuration of one of the repository's stacks, as the engine hands it over.

    Credentials that are still to be set have a value that stands for them.
    """
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    for name, secret in config["fixia:secrets"].items():
        if not secret:
            secret["value"] = f"given-{name}"
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}


def record_program(config: Mapping[str, str], stack: str) -> Recording:
    """The whole program, run with a configuration as the engine hands it over."""
    return record(
        lambda: runpy.run_path(str(ROOT / "__main__.py"), run_name="__main__") and None,
        config=config,
        stack=stack,
    )


def record_stack(stack: str) -> Recording:
    """The whole program, run with one of the repository's stacks."""
    return record_program(stack_config(stack), stack)


def provider_name(resource: Resource) -> str:
    """The name of the explicit provider that makes the resource; empty if none was given."""
    return resource.provider.split("::")[3] if resource.provider else ""


def is_pulumi_secret(value: Any) -> bool:
    """Whether a recorded input carries the engine's mark of a secret."""
    return pulumi.runtime.rpc.is_rpc_secret(value)
