"""Exemptions: who may break which policy, why, and until when.

They stand in the stack's configuration of the pack, with the policy that they are from:

    {"rbac-no-secret-reads": {"exemptions": [{
        "resource": "kubernetes:rbac.authorization.k8s.io/v1:Role::entrance-app-role",
        "reason": "...", "owner": "platform-team", "expires": "2027-06-30"
    }]}}

An exemption is of one resource, by its exact type and name. One that has expired no longer counts. That one
has expired, is malformed or has matched nothing is itself a violation, of `exemptions-current`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

KEY: Final = "exemptions"

SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "resource": {"type": "string", "description": "<type token>::<name>, the end of its URN"},
            "reason": {"type": "string", "minLength": 20},
            "owner": {"type": "string", "minLength": 1},
            "expires": {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
            "property": {
                "type": "string",
                "description": "Only what is found there or below; all without it",
            },
        },
        "required": ["resource", "reason", "owner", "expires"],
        "additionalProperties": False,
    },
}
"""What the engine checks the configuration against."""

_RESOURCE: Final = re.compile(r"[^\s:]+:[^\s:]+:[^\s:]+::\S+")
_FIELDS: Final = frozenset(SCHEMA["items"]["required"])


@dataclass(frozen=True, slots=True)
class Exemption:
    """One resource that may break one policy for a while.

    Attributes:
        policy: The policy's name.
        resource: The resource's type and name, as its URN ends.
        reason: Why.
        owner: Who answers for it.
        expires: The last day on which it counts.
        property: Only what is found at this property or below it; everything if empty.
    """

    policy: str
    resource: str
    reason: str
    owner: str
    expires: date
    property: str = ""

    def covers(self, urn: str, path: str = "") -> bool:
        """Tell whether it is of this resource, wherever in the program that stands.

        Args:
            urn: The resource's URN; its type may follow the types of its parents and a ``$``.
            path: The property of the finding.

        Returns:
            Whether it is.
        """
        below = path == self.property or path.startswith((f"{self.property}.", f"{self.property}["))
        return (not self.property or below) and urn.endswith((f"::{self.resource}", f"${self.resource}"))


class ExemptionError(ValueError):
    """An exemption does not say all that it must."""


def parse(policy: str, entry: object) -> Exemption:
    """Read one exemption of a policy.

    Args:
        policy: The policy's name.
        entry: What stands in the configuration.

    Returns:
        The exemption.

    Raises:
        ExemptionError: Something is missing, superfluous or malformed; the message says what.
    """
    if not isinstance(entry, Mapping):
        raise ExemptionError(f"{policy}: an exemption must be a block")
    if set(entry) - {"property"} != _FIELDS or not all(isinstance(value, str) for value in entry.values()):
        given = ", ".join(sorted(map(str, entry)))
        raise ExemptionError(
            f"{policy}: an exemption must have the texts {', '.join(sorted(_FIELDS))}; got {given}"
        )
    if not _RESOURCE.fullmatch(entry["resource"]):
        raise ExemptionError(
            f'{policy}: "{entry["resource"]}" must be <package>:<module>:<Type>::<name>, as a URN ends'
        )
    if len(entry["reason"].split()) < _WORDS or not entry["owner"].strip():
        raise ExemptionError(
            f"{policy}: {entry['resource']}: the reason must be a sentence, and it needs an owner"
        )
    try:
        expires = date.fromisoformat(entry["expires"])
    except ValueError:
        raise ExemptionError(
            f'{policy}: {entry["resource"]}: expires is "{entry["expires"]}", not a date'
        ) from None
    return Exemption(
        policy, entry["resource"], entry["reason"], entry["owner"], expires, entry.get("property", "")
    )


_WORDS: Final = 4
"""A reason of fewer words gives none."""


def today() -> date:
    """Return the date, the same everywhere in the world."""
    return datetime.now(UTC).date()


@dataclass
class Ledger:
    """What one run of the pack knows of exemptions: all that were given, and which were needed.

    The engine gives each policy its own configuration and nobody all of it, so that the policies enter theirs
    here; `exemptions-current` is the last of the pack and reads what has come together.

    Attributes:
        clock: Returns the date.
    """

    clock: Callable[[], date] = today
    _given: dict[Exemption, bool] = field(default_factory=dict)
    _faults: dict[str, None] = field(default_factory=dict)

    def enter(self, policy: str, entries: object) -> list[Exemption]:
        """Enter a policy's exemptions. Doing so again changes nothing.

        Args:
            policy: The policy's name.
            entries: What stands in its configuration; None if nothing.

        Returns:
            Those that count today.
        """
        counting = []
        for entry in entries if isinstance(entries, Sequence) and not isinstance(entries, str) else ():
            try:
                exemption = parse(policy, entry)
            except ExemptionError as error:
                self._faults[str(error)] = None
                continue
            self._given.setdefault(exemption, False)
            if exemption.expires >= self.clock():
                counting.append(exemption)
        return counting

    def needed(self, exemption: Exemption) -> None:
        """Note that an exemption has covered a finding."""
        self._given[exemption] = True

    def faults(self) -> list[str]:
        """Say what is wrong with the exemptions.

        Returns:
            One sentence for each that is malformed, has expired or was not needed.
        """
        found = list(self._faults)
        for exemption, used in self._given.items():
            about = (
                f"the exemption of {exemption.resource} from {exemption.policy} (owner: {exemption.owner})"
            )
            if exemption.expires < self.clock():
                found.append(f"{about} expired on {exemption.expires.isoformat()}")
            elif not used:
                found.append(f"{about} matches nothing: there is no such resource, or it keeps the policy")
        return found
