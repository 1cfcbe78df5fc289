"""What a preview found, from the engine's events: pure functions to data and to JSON.

The events are what `pulumi preview --event-log` writes, one JSON object per line. The engine has masked
secret values in them; a report carries no values at all, only the paths of properties.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Event = Mapping[str, Any]

UNCHANGED: Final = "same"
DESTRUCTIVE: Final = ("replace", "delete")
"""Operations that destroy what exists, in the order in which a report names them."""

_AS_REPLACE: Final = {
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "read-replacement": "replace",
    "import-replacement": "replace",
    "discard-replaced": "replace",
    "remove-pending-replace": "delete",
    "read-discard": "delete",
}
_COLOUR: Final = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_ROOT: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one resource.

    Attributes:
        operation: `create`, `update`, `replace`, `delete`, `read`, `import` or another of the engine's.
        type: the resource's type token.
        name: its name in the program.
        urn: its full name.
        component: the name of the nearest component that it belongs to, or its own if it is one.
        component_type: that component's type token.
        properties: the paths of the properties that differ.
        causes: those of them that force a replacement.
    """

    operation: str
    type: str
    name: str
    urn: str
    component: str
    component_type: str
    properties: tuple[str, ...]
    causes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A policy that one resource, or the stack as a whole, doesn't keep."""

    level: str
    pack: str
    policy: str
    resource: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """A message of the engine, a provider or the program."""

    severity: Literal["error", "warning"]
    resource: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """A preview's outcome.

    Attributes:
        stack: the stack's name.
        base: what the stack was compared with, or None where it was compared with nothing.
        succeeded: whether the engine ended with 0.
        counts: how many resources each operation touches, unchanged ones included.
        changes: everything but unchanged resources, in the order of the engine.
        packs: the policy packs that ran, with their versions.
        policies_ran: whether the packs saw any of the program's resources: not where it failed before.
        policies: how many different policies were evaluated.
        violations: what the packs found.
        diagnostics: errors and warnings.
    """

    stack: str
    base: str | None
    succeeded: bool
    counts: Mapping[str, int]
    changes: Sequence[Change]
    packs: Mapping[str, str]
    policies_ran: bool
    policies: int
    violations: Sequence[Violation]
    diagnostics: Sequence[Diagnostic]


def read_events(lines: Iterable[str]) -> list[Event]:
    """Parse an event log.

    Args:
        lines: the log's lines. A last line that an interrupted engine left incomplete is passed over.

    Returns:
        The events in the order of the log.
    """
    events: list[Event] = []
    for line in lines:
        try:
            event = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def build(stack: str, events: Sequence[Event], *, succeeded: bool, base: str | None = None) -> Report:
    """Summarise a preview.

    Args:
        stack: the stack's name.
        events: what `read_events` returned; may end early where the engine did.
        succeeded: whether the engine ended with 0.
        base: what the stack was compared with.

    Returns:
        The report.
    """
    steps = [event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event]
    operations = {step["urn"]: UNCHANGED for step in steps}
    for step in steps:
        operation = _AS_REPLACE.get(step["op"], step["op"])
        # A replacement is several steps under one URN; whatever else they are, it stays a replacement.
        if operation != UNCHANGED and operations[step["urn"]] != "replace":
            operations[step["urn"]] = operation
    packs, policies = _packs(events)
    # The engine lists its packs as passed even if the program failed at once: they saw the stack alone.
    seen = any(not step["type"].startswith("pulumi:") for step in steps)
    ran = bool(packs) and (succeeded or seen)
    return Report(
        stack=stack,
        base=base,
        succeeded=succeeded,
        counts=dict(Counter(operations.values())),
        changes=_changes(steps, operations),
        packs=packs,
        policies_ran=ran,
        policies=policies if ran else 0,
        violations=_violations(events),
        diagnostics=_diagnostics(events),
    )


def to_json(report: Report) -> str:
    """Return the report as JSON, for programs: its attributes as they are."""
    return json.dumps(asdict(report), indent=2) + "\n"


def name_of(urn: str) -> str:
    """Return the name at the end of a URN; the whole string if it is none."""
    return urn.split("::", 3)[-1]


def _changes(steps: Sequence[Mapping[str, Any]], operations: Mapping[str, str]) -> list[Change]:
    states = {step["urn"]: step["new"] or step["old"] or {} for step in steps}
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for step in steps:
        grouped.setdefault(step["urn"], []).append(step)
    changes: list[Change] = []
    for urn, state in states.items():
        if operations[urn] == UNCHANGED:
            continue
        own = grouped[urn]
        component = _component(urn, states)
        replaced = operations[urn] == "replace"
        changes.append(
            Change(
                operation=operations[urn],
                type=own[0]["type"] or state.get("type", ""),
                name=name_of(urn),
                urn=urn,
                component=name_of(component),
                component_type=states.get(component, {}).get("type", _ROOT),
                properties=tuple(sorted({path for step in own for path in _properties(step)})),
                causes=tuple(sorted({path for step in own for path in _causes(step)})) if replaced else (),
            )
        )
    return changes


def _component(urn: str, states: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the URN of the nearest component at or above a resource."""
    while (state := states.get(urn)) and state.get("custom"):
        urn = state.get("parent") or ""
    return urn


def _properties(step: Mapping[str, Any]) -> set[str]:
    """Return the paths in which a step's resource differs, as exactly as the provider said."""
    if step["op"] in ("create", "delete"):
        return set()  # All of them, which says nothing.
    if step.get("detailedDiff"):
        return set(step["detailedDiff"])
    if step.get("diffs"):
        return set(step["diffs"])
    old, new = ((step[side] or {}).get("inputs") or {} for side in ("old", "new"))
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


def _causes(step: Mapping[str, Any]) -> set[str]:
    detailed = step.get("detailedDiff") or {}
    exact = {path for path, diff in detailed.items() if diff["diffKind"].endswith("-replace")}
    return exact or set(step.get("keys") or ())


def _packs(events: Sequence[Event]) -> tuple[dict[str, str], int]:
    """Return the policy packs that ran with their versions, and how many policies they evaluated."""
    packs: dict[str, str] = {}
    policies: set[tuple[str, str]] = set()
    for event in events:
        for kind in ("policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent"):
            if summary := event.get(kind):
                pack = summary["policyPackName"]
                packs[pack] = summary.get("policyPackVersion", "")
                names = (summary.get("passed") or []) + (summary.get("failed") or [])
                policies.update((pack, name) for name in names)
        if summary := event.get("summaryEvent"):
            for identity, version in (summary.get("PolicyPacks") or {}).items():
                packs.setdefault(identity.split("|")[0], version)  # `<name>|local|<folder>`
    return packs, len(policies)


def _violations(events: Sequence[Event]) -> list[Violation]:
    violations: list[Violation] = []
    for event in events:
        found = event.get("policyEvent")
        changed = event.get("policyRemediationEvent")
        if policy := found or changed:
            message = policy.get("message", "") if found else "the policy changed this resource's properties"
            violations.append(
                Violation(
                    level=policy.get("enforcementLevel", "remediate"),
                    pack=policy["policyPackName"],
                    policy=policy["policyName"],
                    resource=policy.get("resourceUrn", ""),
                    message=_plain(message),
                )
            )
    return list(dict.fromkeys(violations))


def _diagnostics(events: Sequence[Event]) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    for event in events:
        diagnostic = event.get("diagnosticEvent") or {}
        severity = diagnostic.get("severity")
        if severity in ("error", "warning") and (message := _plain(diagnostic["message"])):
            resource = diagnostic.get("urn", "")
            diagnostics.append(Diagnostic(severity=severity, resource=resource, message=message))
        if "errorEvent" in event:
            message = _plain(event["errorEvent"]["error"])
            diagnostics.append(Diagnostic(severity="error", resource="", message=message))
    if len(diagnostics) > 1 or any("policyEvent" in event for event in events):
        # The engine ends with this where something else, which is listed, is the reason.
        diagnostics = [each for each in diagnostics if each.message != "preview failed"]
    return list(dict.fromkeys(diagnostics))


def _plain(message: str) -> str:
    """Return a message without the engine's colour codes."""
    return _COLOUR.sub("", message).strip()
