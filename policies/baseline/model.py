"""What a policy is, what it reads and what it reports: plain data, no engine."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, TypeAlias

from pulumi_policy import EnforcementLevel, Severity

from baseline.frameworks import Framework

_LONGEST_FOUND = 80


class Unknown(Enum):
    """The type of `UNKNOWN`, a property whose value exists only after the update."""

    UNKNOWN = "unknown until the update"


UNKNOWN: Final = Unknown.UNKNOWN

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | Unknown | None"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of the stack, with its properties as plain data.

    Attributes:
        type: The type token, such as ``kubernetes:apps/v1:Deployment``.
        name: The name in the program.
        urn: The engine's address of the resource.
        properties: The inputs (resource policies) or the outputs (stack policies).
        protected: Whether the engine refuses to delete it (`protect`); None where nobody can tell, as in a
            folder of manifests.
        links: Property to the URNs of the resources that its value comes from: what joins two resources
            before either has a name.
    """

    type: str
    name: str
    urn: str
    properties: dict[str, Value]
    protected: bool | None = None
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The short name that people know it by: ``Deployment/web``."""
        return f"{self.type.rpartition(':')[2]}/{self.name}"


@dataclass(frozen=True, slots=True)
class Violation:
    """One property that is not what a policy asks for.

    Attributes:
        path: The property's path, such as ``spec.containers[0].securityContext.privileged``.
        found: Its value; None when absent. A violation whose value is `UNKNOWN` is undecided: neither
            passed nor failed.
        valid: What the policy accepts there, as a phrase that follows "valid:".
        remedy: What to do, where it differs from the policy's own remedy.
        resource: The resource to blame; a check of one resource leaves it out, the adapter fills it in.
    """

    path: str
    found: Value
    valid: str
    remedy: str = ""
    resource: Resource | None = None

    @property
    def undecided(self) -> bool:
        """Whether the value is known only after the update."""
        return self.found is UNKNOWN

    @property
    def where(self) -> str:
        """The resource and the path."""
        return f"{self.resource.label}: {self.path}" if self.resource else self.path


def describe(value: Value) -> str:
    """Render a value for a message, short and without the content of mappings and lists.

    The engine unwraps secrets before a policy sees them, so nothing here knows which value is one: whole
    blocks are never printed.

    Args:
        value: The value found.

    Returns:
        The text that follows "is".
    """
    match value:
        case None:
            return "absent"
        case Unknown():
            return value.value
        case dict():
            return f"a block with {', '.join(value) or 'nothing in it'}"
        case list():
            return f"a list of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_FOUND else f"{text[:_LONGEST_FOUND]}..."


@dataclass(frozen=True, kw_only=True)
class Policy(ABC):
    """One rule of the baseline.

    Attributes:
        name: Kebab-case and unique; configuration and exemptions refer to it, so it never changes.
        description: The rule, in one sentence.
        remedy: What to do about a violation, in one sentence.
        severity: How bad a violation is.
        framework: The published requirement behind it.
        anchors: Identifiers of the same check in other tools and standards.
        level: Whether a violation stops the update.
        production_only: Whether a stack that is not production may lower the level.
        options: What a stack may set for the policy, by name, with the defaults; each is a list of texts, and
            reaches the check as a keyword argument.
    """

    name: str
    description: str
    remedy: str
    severity: Severity
    framework: Framework
    anchors: tuple[str, ...]
    level: EnforcementLevel = EnforcementLevel.MANDATORY
    production_only: bool = False
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @abstractmethod
    def applies_to(self, type_token: str) -> bool:
        """Tell whether resources of this type concern the policy; others are not even read."""

    def message(self, violation: Violation) -> str:
        """Word a violation. The engine prints this and no other field, so it holds everything.

        Args:
            violation: The finding.

        Returns:
            Two lines: where, what was found and what is valid; and the remedy.
        """
        return (
            f"{violation.where} is {describe(violation.found)}; valid: {violation.valid}.\n"
            f"Remedy: {violation.remedy or self.remedy}"
        )


@dataclass(frozen=True, kw_only=True)
class ResourcePolicy(Policy):
    """A rule that can be decided from one resource alone."""

    @abstractmethod
    def evaluate(self, resource: Resource) -> Iterable[Violation]:
        """Find what is wrong with one resource to which the policy applies."""


@dataclass(frozen=True, kw_only=True)
class StackPolicy(Policy):
    """A rule about how the resources of a stack fit together.

    Attributes:
        selects: Which type tokens the check reads.
        check: The pure validator of all resources selected; each violation names its resource.
    """

    selects: Callable[[str], bool]
    check: Callable[..., Iterable[Violation]]

    def evaluate(self, resources: Sequence[Resource]) -> Iterable[Violation]:
        """Find what is wrong with the resources that the policy selects."""
        return self.check(resources, **self.options)

    def applies_to(self, type_token: str) -> bool:
        """See `Policy.applies_to`."""
        return self.selects(type_token)
