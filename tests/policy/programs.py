"""Whole programs as the engine would show them to the pack, and what the pack says of them."""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulumi.runtime import rpc
from pulumi.runtime.proto import analyzer_pb2
from pulumi_policy import EnforcementLevel
from pulumi_policy.policy import _PolicyAnalyzerServicer

from baseline.adapter import as_pulumi_policies
from baseline.decoding import remember
from baseline.exemptions import Ledger
from baseline.model import Resource, Value
from baseline.pack import PACK_NAME, POLICIES
from tests.policy.cases.builders import Block, edited, urn
from tests.policy.test_servicer import request, stack_request
from tests.recorder import ROOT, Recording

assert remember(), "the SDK has changed: see decoding.py"

LEVELS = {
    "mandatory": analyzer_pb2.MANDATORY,
    "advisory": analyzer_pb2.ADVISORY,
    "disabled": analyzer_pb2.DISABLED,
}


@dataclass(frozen=True)
class Program:
    """The resources of a stack, by type and name.

    Every method returns another program; none changes this one.
    """

    resources: Mapping[tuple[str, str], Resource]

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.resources.values())

    def key(self, kind: str, name: str) -> tuple[str, str]:
        """The only resource of that name whose type ends so."""
        (found,) = [one for one in self.resources if one[0].endswith(f":{kind}") and one[1] == name]
        return found

    def get(self, kind: str, name: str) -> Resource:
        """That resource."""
        return self.resources[self.key(kind, name)]

    def value(self, kind: str, name: str, *keys: str | int) -> Any:
        """A copy of one of its properties."""
        found: Any = self.get(kind, name).properties
        for key in keys:
            found = found[key]
        return copy.deepcopy(found)

    def edit(self, kind: str, name: str, edits: Mapping[str, Value]) -> "Program":
        """With some properties changed, by path."""
        one = self.get(kind, name)
        return self.put(replace(one, properties=edited(one.properties, edits)))

    def edit_text(self, kind: str, name: str, entry: str, old: str, new: str) -> "Program":
        """With part of a file in a ConfigMap changed."""
        data = self.value(kind, name, "data")
        assert old in data[entry], f"{name}: {entry} has no {old!r}"
        one = self.get(kind, name)
        return self.put(
            replace(
                one, properties={**one.properties, "data": {**data, entry: data[entry].replace(old, new)}}
            )
        )

    def put(self, *resources: Resource) -> "Program":
        """With some resources more, or replaced."""
        return Program({**self.resources, **{(one.type, one.name): one for one in resources}})

    def drop(self, kind: str, *names: str) -> "Program":
        """Without some resources."""
        gone = {self.key(kind, name) for name in names}
        return Program({key: one for key, one in self.resources.items() if key not in gone})

    def protect(self, kind: str, name: str, protected: bool) -> "Program":
        """With another resource option `protect`."""
        return self.put(replace(self.get(kind, name), protected=protected))

    def clone(self, kind: str, name: str, new: str, edits: Mapping[str, Value] | None = None) -> "Program":
        """With a copy of a resource under another name, in the program and as an object, and edited."""
        one = self.get(kind, name)
        properties = edited(one.properties, {"metadata.name": new, **(edits or {})})
        return self.put(replace(one, name=new, urn=urn(one.type, new), properties=properties))


def of(resources: Iterable[Resource]) -> Program:
    """Make a program of some resources."""
    return Program({(one.type, one.name): one for one in resources})


def recorded(recording: Recording) -> Program:
    """Make a program of a recording: inputs as the engine shows them, secrets unwrapped and all named."""
    return of(
        Resource(one.type, one.name, one.urn, _inputs(one.name, one.inputs), bool(one.options.get("protect")))
        for one in recording.all.values()
    )


def _inputs(name: str, inputs: Mapping[str, Any]) -> Block:
    plain: Any = _plain(inputs)
    if "kind" in plain and "metadata" in plain:
        # The provider names what has no name, before any policy sees it. Mocks do likewise.
        plain["metadata"] = {"name": f"{name}-made-up", **plain["metadata"]}
    return plain  # type: ignore[no-any-return]


def _plain(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return _plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float | str) else str(value)


def levels(stack: str) -> dict[str, Any]:
    """What a stack sets for the pack."""
    loaded: dict[str, Any] = json.loads((ROOT / "policies" / f"levels.{stack}.json").read_text())
    return loaded


@dataclass(frozen=True)
class Finding:
    """What the engine would print, apart from what is undecided."""

    policy: str
    level: str
    message: str
    urn: str


_answers: dict[tuple[int, str], tuple[Resource, Any]] = {}


def _answer(servicer: Any, one: Resource, config: str) -> Any:
    """Ask about one resource; what has been answered of the very same one is not asked again."""
    key = (id(one), config)
    if key not in _answers:
        _answers[key] = (one, servicer.Analyze(request(one), None))
    return _answers[key][1]


def judge(program: Program, config: Mapping[str, Any]) -> list[Finding]:
    """Run the pack over a program as the engine does.

    Args:
        program: The program.
        config: The pack's configuration, as in `policies/levels.<stack>.json`.
    """
    served = as_pulumi_policies(POLICIES, Ledger())
    servicer: Any = _PolicyAnalyzerServicer(PACK_NAME, "1", served, EnforcementLevel.MANDATORY)
    defaults = {one.name: one.enforcement_level for one in served}
    settings = {}
    for name, own in config.items():
        block = {"enforcementLevel": own} if isinstance(own, str) else dict(own)
        level = block.pop("enforcementLevel", None) or defaults[name].value  # type: ignore[union-attr]
        settings[name] = analyzer_pb2.PolicyConfig(enforcementLevel=LEVELS[level])
        settings[name].properties.update(block)
    servicer.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=settings), None)
    told = str(sorted(config.items(), key=str))
    # The ledger of exemptions must hear of what is exempted in every run.
    responses = [
        servicer.Analyze(request(one), None) if one.name in told else _answer(servicer, one, told)
        for one in program
    ]
    responses.append(servicer.AnalyzeStack(stack_request(program), None))
    return [
        Finding(
            one.policyName,
            analyzer_pb2.EnforcementLevel.Name(one.enforcementLevel).lower(),
            one.message,
            one.urn,
        )
        for response in responses
        for one in response.diagnostics
    ]
