"""What the engine says when it stops, each as one line that says what to do.

The patterns are of pulumi 3.256's own texts; `tests/engine/test_delivery_messages.py` has the real engine say
those that a machine without an account can provoke.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from delivery.wording import plural
from simulator.report import name_of

_COLOUR: Final = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")
_NOT_BEGUN: Final = "expected resource operations"
_ANOTHER: Final = re.compile(rf"\berror: (?!{_NOT_BEGUN}|update failed|preview failed)")


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One recognised message.

    Attributes:
        kind: what it is, for programs: `not-ready`, `locked`, `plan-out-of-date`, `interrupted`,
            `missing-secret`, `protected`, `drifted`, `unknown-stack` or `settings`.
        line: what happened and what to do, without a line break.
    """

    kind: str
    line: str


_Line = Callable[[re.Match[str], str], str]


def explain(text: str, stack: str) -> list[Explained]:
    """Recognise the engine's messages.

    Args:
        text: what it printed, or messages out of its event log.
        stack: the stack's name, for the commands.

    Returns:
        Each recognised message once, the one to act on first leading. Empty where nothing was recognised.
    """
    plain = _COLOUR.sub("", text)
    # After any failure the engine says of each step of the plan that it did not come to that it was expected.
    failed = _ANOTHER.search(plain)
    found = (
        Explained(kind=kind, line=" ".join(line(match, stack).split()))
        for kind, pattern, line in _KNOWN
        for match in pattern.finditer(plain)
        if not (failed and match[0].startswith(_NOT_BEGUN))
    )
    return list(dict.fromkeys(found))


def _not_ready(match: re.Match[str], stack: str) -> str:
    return (
        f"{match['made'] or match['changed']} of stack {stack} did not become ready: nothing that waits for "
        "it was begun, so a release's old version still serves; its pods' logs say why. "
        "Mend that and deploy again, or docs/runbooks/roll-back-a-release.md"
    )


def _locked(match: re.Match[str], stack: str) -> str:
    who = f" by {match['who']} since {match['since']}" if match["who"] else ""
    return (
        f"stack {stack} is locked{who}: wait until that run has ended; "
        f"if it is dead, `pulumi cancel --stack {stack}`"
    )


def _out_of_date(match: re.Match[str], stack: str) -> str:
    parts = match.groupdict()
    urn = parts.get("urn")
    where = f" at {name_of(urn)}" if urn else ""
    return (
        f"the plan of stack {stack} is out of date{where} ({match['why'].strip()}): "
        "something changed since it was reviewed; preview again and have that reviewed"
    )


def _interrupted(match: re.Match[str], stack: str) -> str:
    first = re.search(r"\* (\S+), interrupted while (\w+)", match[0])
    where = f" while {first[2]} {name_of(first[1])}" if first else ""
    return (
        f"an earlier run of stack {stack} was interrupted{where} ({match['count']} pending): "
        f"look whether that exists, then `pulumi refresh --stack {stack}` on a terminal"
    )


def _passphrase(_match: re.Match[str], stack: str) -> str:
    return (
        f"the secrets of stack {stack} can't be read: no passphrase; set PULUMI_CONFIG_PASSPHRASE_FILE, "
        "or give the stack a key of your cloud: `pulumi stack change-secrets-provider`"
    )


def _wrong_key(_match: re.Match[str], stack: str) -> str:
    return (
        f"the secrets of stack {stack} can't be read: wrong passphrase; "
        "PULUMI_CONFIG_PASSPHRASE_FILE must hold the one that they were set with"
    )


def _unset(match: re.Match[str], stack: str) -> str:
    return (
        f"secret {match['name']} of stack {stack} is not set: "
        f"`python -m delivery.secrets --stack {stack} --set {match['name']}`"
    )


def _missing(match: re.Match[str], stack: str) -> str:
    key = match["key"]
    return f"{key} of stack {stack} is not set: `pulumi config set --secret --stack {stack} {key}`"


def _protected(match: re.Match[str], stack: str) -> str:
    return (
        f"{name_of(match['urn'])} of stack {stack} is protected and would be deleted: restore it; "
        "if it is meant to go, first take its protection away in a change of its own"
    )


def _drifted(_match: re.Match[str], stack: str) -> str:
    return f"stack {stack} has drifted: what runs is not what was deployed; the preview tells where"


def _unknown(match: re.Match[str], _stack: str) -> str:
    return (
        f"there is no stack {match['name']} at this backend: check PULUMI_BACKEND_URL, or `pulumi stack init`"
    )


def _settings(match: re.Match[str], _stack: str) -> str:
    wrong = plural(int(match["count"]), "wrong setting")
    return f"{match['file']} has {wrong}: the output names each with what would be valid"


_KNOWN: Final[Sequence[tuple[str, re.Pattern[str], _Line]]] = (
    (
        "not-ready",
        re.compile(
            r"(?:resource (?P<made>\S+) was successfully created, but )?the Kubernetes API server reported "
            r'that (?:it|"(?P<changed>[^"]+)") failed to fully initialize or become live'
        ),
        _not_ready,
    ),
    (
        "locked",
        re.compile(
            r"the stack is currently locked by \d+ lock\(s\)\.[^\n]*"
            r"(?:\n\s+\S+: created by (?P<who>\S+) \(pid \d+\) at (?P<since>\S+))?"
        ),
        _locked,
    ),
    (
        "interrupted",
        re.compile(r"with (?P<count>\d+) pending operations from previous deployment\.(?:\n\s*\* [^\n]*)+"),
        _interrupted,
    ),
    ("missing-secret", re.compile(r"passphrase must be set with PULUMI_CONFIG_PASSPHRASE"), _passphrase),
    ("missing-secret", re.compile(r"(?<!crypt: )incorrect passphrase"), _wrong_key),
    (
        "missing-secret",
        re.compile(r":secrets\.(?P<name>[\w-]+)\.value\n\s+found: nothing"),
        _unset,
    ),
    (
        "missing-secret",
        re.compile(r"Missing required configuration variable '(?P<key>[^']+)'"),
        _missing,
    ),
    (
        "plan-out-of-date",
        re.compile(r"resource (?P<urn>urn:\S+) violates plan: (?P<why>[^\n]+)"),
        _out_of_date,
    ),
    ("plan-out-of-date", re.compile(r"resource violates plan: (?P<why>[^\n]+)"), _out_of_date),
    ("plan-out-of-date", re.compile(r"(?P<why>[\w-]+ is not allowed by the plan: [^\n]+)"), _out_of_date),
    (
        "plan-out-of-date",
        re.compile(r"(?P<why>expected resource operations) for (?P<urn>urn:\S+) but none were seen"),
        _out_of_date,
    ),
    (
        "protected",
        re.compile(r'resource "?(?P<urn>urn:[^"\s]+)"? cannot be deleted\s+because it is protected'),
        _protected,
    ),
    ("drifted", re.compile(r"no changes were expected[^\n]* but changes were proposed"), _drifted),
    ("unknown-stack", re.compile(r"no stack named '(?P<name>[^']+)' found"), _unknown),
    (
        "settings",
        re.compile(r"(?P<file>Pulumi\.[\w.-]+\.yaml): (?P<count>\d+) settings? (?:is|are) wrong"),
        _settings,
    ),
)
