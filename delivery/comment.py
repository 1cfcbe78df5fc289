"""The comment that a pull request gets for each stack: `python -m delivery.comment --stack production`.

It is made of what the last review of the stack left in `build/`, and written to `build/comment-<stack>.md`.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from components.cost.estimate import Range
from delivery import cost, messages, recorded, stateful
from delivery.gate import LABEL
from delivery.wording import plural
from simulator.markdown import cell, code
from simulator.processes import guarded
from simulator.report import DESTRUCTIVE, UNCHANGED, Change, Report, Violation, name_of

LIMIT: Final = 65_536
"""GitHub refuses a longer comment. It counts characters; we count bytes, which are never fewer."""

_SECTION: Final = 10_000
"""Bytes that a section above the changes may take."""
_PATHS: Final = 12
"""Properties that a row names."""
_NAMED: Final = 20
"""Components that are named where they are left out."""
_LONGEST: Final = 80
"""Characters of such a name."""
_RANKS: Final = {"replace": 0, "delete": 0, "create": 2}
_HEAD: Final = "| | type | name | changed |\n|---|---|---|---|\n"
_SYMBOLS: Final = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "read": ">", "import": "="}
_DONE: Final = {
    "create": "to create",
    "update": "to update",
    "replace": "to replace",
    "delete": "to delete",
    "read": "to read",
    "import": "to import",
    "refresh": "to refresh",
    UNCHANGED: "unchanged",
}


def marker(stack: str) -> str:
    """The first line of a stack's comment, by which the next one finds and replaces it."""
    return f"<!-- preview of {stack} -->"


def comment(report: Report, costs: cost.Comparison | None = None, limit: int = LIMIT) -> str:
    """What reviewers of a change need to know of one stack.

    What can't be undone comes first. If it is too long, whole components are left out, those that destroy
    nothing first, and the last line says which.

    Args:
        report: what the preview found.
        costs: what a month costs before and after; None where that is not known.
        limit: the most bytes of UTF-8 that it may have; at least 55,000 to hold all above the changes.

    Returns:
        Markdown that begins with the marker and ends with a newline.
    """
    head = "\n".join(
        section
        for section in (
            f"{marker(report.stack)}\n{_verdict(report)}\n",
            _messages(report),
            _kept(report.changes),
            _destroyed(report.changes),
            _policies(report),
            _costs(costs) if costs and report.succeeded else "",
        )
        if section
    )
    return head + _changes(report.changes, limit - len(head.encode()))


def _verdict(report: Report) -> str:
    ranks = [*_DONE]
    counted = sorted(
        report.counts.items(), key=lambda pair: ranks.index(pair[0]) if pair[0] in ranks else len(ranks)
    )
    numbers = []
    for operation, count in counted:
        said = f"{count:,} {_DONE.get(operation, operation)}"
        numbers.append(f"**{said}**" if operation in DESTRUCTIVE else said)
    if not report.succeeded:
        verdict = "❌ the preview failed"
    elif not report.changes:
        verdict = "✅ nothing changes"
    else:
        verdict = "⚠️ it would lose data" if stateful.lost(report.changes) else "✅ it can be done"
    against = f" Compared with {code(report.base)}." if report.base else ""
    return f"## {code(report.stack)}: {verdict}\n\n{', '.join(numbers) or 'no resources'}.{against}"


def _messages(report: Report) -> str:
    """What the engine said, explained where we know how."""
    if not report.diagnostics:
        return ""
    said = "\n".join(each.message for each in report.diagnostics)
    lines = [f"- {each.line}\n" for each in messages.explain(said, report.stack)]
    for each in sorted(report.diagnostics, key=lambda one: one.severity):
        of = f" of {code(name_of(each.resource))}" if each.resource else ""
        lines.append(f"- {each.severity}{of}: {cell(each.message)}\n")
    return _bounded("### Messages\n\n", lines, "message")


def _kept(changes: Sequence[Change]) -> str:
    """What touches data, with the page to read first."""
    found = stateful.touched(changes)
    if not found:
        return ""
    lines = []
    for change, kept in found:
        what = f"{change.operation} {code(change.type)} {code(change.name)}"
        if _destroys(change):
            lines.append(f"- **{what}** would lose {kept.what}. Runbook: `{kept.runbook}`\n")
        else:
            lines.append(f"- {what}, which keeps {kept.what}. Runbook: `{kept.runbook}`\n")
    needed = f"\nIt needs the label `{LABEL}`.\n" if stateful.lost(changes) else ""
    return _bounded("### Data\n\n", lines, "resource") + needed


def _destroyed(changes: Sequence[Change]) -> str:
    kept = [change for change, _ in stateful.lost(changes)]
    lines = []
    for operation in DESTRUCTIVE:
        for change in changes:
            if change.operation == operation and change not in kept:
                because = f" because of {_paths(change.causes)}" if change.causes else ""
                lines.append(f"- **{operation} {code(change.type)} {code(change.name)}**{because}\n")
    return _bounded("### Replaced or deleted\n\n", lines, "resource") if lines else ""


def _policies(report: Report) -> str:
    if not report.packs:
        return "### Policies\n\nNo policy pack ran.\n"
    packs = ", ".join(code(f"{name} {version}".strip()) for name, version in report.packs.items())
    if not report.policies_ran and not report.violations:
        return f"### Policies\n\n{packs}: the program failed before any policy ran.\n"
    broken = [each for each in report.violations if each.level == "mandatory"]
    others = Counter(each.policy for each in report.violations if each.level != "mandatory")
    ran = f"{packs} ran {plural(report.policies, 'policy')}"
    head = f"### Policies\n\n{ran}: no mandatory violation.\n"
    if broken:
        number = plural(len(broken), "mandatory violation")
        head = f"### Policies\n\n{ran}: **{number}**\n\n| policy | resource | message |\n|---|---|---|\n"
    rows = [_violation(each) for each in sorted(broken, key=lambda one: one.policy)]
    advice = ""
    if others:
        counts = ", ".join(f"{code(policy)} {count}" for policy, count in others.most_common())
        advice = f"\nAdvice: {counts}.\n"
    return _bounded(head, rows, "violation") + advice


def _violation(violation: Violation) -> str:
    resource = code(name_of(violation.resource)) if violation.resource else ""
    return f"| **{code(violation.policy)}** | {resource} | {cell(violation.message)} |\n"


def _costs(costs: cost.Comparison) -> str:
    after = costs.after
    left = f" Not known yet: {', '.join(map(code, after.unread))}." if after.unread else ""
    if costs.before is None:
        return f"### Cost\n\n{after.total} in a month, by list prices.{left}\n"
    before = costs.before
    difference = after.total - before.total
    if difference == Range():
        return f"### Cost\n\nStays at {after.total} in a month, by list prices.{left}\n"
    lines = []
    for key in sorted({*before.components, *after.components}):
        was, becomes = before.components.get(key, Range()), after.components.get(key, Range())
        if was != becomes:
            lines.append(f"| {code(key[1])} | {was} | {becomes} | {(becomes - was).signed()} |\n")
    head = (
        f"### Cost\n\n{before.total} in a month before, {after.total} after: "
        f"**{difference.signed()}**, by list prices.{left}\n\n"
        "| component | before | after | |\n|---|---|---|---|\n"
    )
    return _bounded(head, lines, "component")


def _changes(changes: Sequence[Change], room: int) -> str:
    """The changes by component: whole components, as many as fit."""
    if not changes:
        return ""
    grouped: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        grouped.setdefault((change.component_type, change.component), []).append(change)
    groups = [(name, group) for (_, name), group in sorted(grouped.items(), key=_order)]
    head = "\n### Changes\n"
    room -= len(head.encode()) + _reserve(groups)
    parts = [head]
    left: list[tuple[str, list[Change]]] = []
    for name, group in groups:
        text = _group(name, group)
        size = len(text.encode())
        if size > room:
            left.append((name, group))
        else:
            parts.append(text)
            room -= size
    return "".join(parts) + _left_out(left)


def _order(group: tuple[tuple[str, str], list[Change]]) -> tuple[int, tuple[str, str]]:
    """Components that lose something come first, then those that change, then the new ones."""
    key, changes = group
    return min(_RANKS.get(change.operation, 1) for change in changes), key


def _group(name: str, group: Sequence[Change]) -> str:
    rows = "".join(_row(change) for change in group)
    counts = ", ".join(
        f"{count} {_DONE.get(operation, operation)}"
        for operation, count in Counter(change.operation for change in group).items()
    )
    return f"\n#### {code(name)} {code(group[0].component_type)}: {counts}\n\n{_HEAD}{rows}"


def _row(change: Change) -> str:
    bold = "**" if _destroys(change) else ""
    symbol = _SYMBOLS.get(change.operation, change.operation)
    type_, name = (f"{bold}{code(text)}{bold}" for text in (change.type, change.name))
    # For a replacement the engine lists whole blocks beside the property that forces it.
    return f"| `{symbol}` | {type_} | {name} | {_paths(change.causes or change.properties)} |\n"


def _reserve(groups: Sequence[tuple[str, Sequence[Change]]]) -> int:
    """Bytes that the line about what is left out may need at most."""
    longest = sorted((len(code(name[:_LONGEST]).encode()) + 2 for name, _ in groups), reverse=True)
    return len(_left_out([("", [])]).encode()) + sum(longest[:_NAMED]) + 60


def _left_out(groups: Sequence[tuple[str, Sequence[Change]]]) -> str:
    if not groups:
        return ""
    names = ", ".join(code(name[:_LONGEST]) for name, _ in groups[:_NAMED])
    more = f" and {len(groups) - _NAMED:,} more" if len(groups) > _NAMED else ""
    changes = plural(sum(len(group) for _, group in groups), "change")
    components = plural(len(groups), "component")
    return (
        f"\n_Left out, because a comment is never longer: {changes} of {components} "
        f"({names}{more}). `build/preview-<stack>.json` has all._\n"
    )


def _destroys(change: Change) -> bool:
    return change.operation in DESTRUCTIVE


def _bounded(head: str, lines: Sequence[str], noun: str) -> str:
    """A section's lines until it is full."""
    room = _SECTION - len(head.encode())
    parts = [head]
    for index, line in enumerate(lines):
        room -= len(line.encode())
        if room < 0:
            parts.append(f"\n_{plural(len(lines) - index, noun)} more; the JSON report has all._\n")
            break
        parts.append(line)
    return "".join(parts)


def _paths(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _PATHS} more" if len(paths) > _PATHS else ""
    return ", ".join(code(path) for path in paths[:_PATHS]) + more


def of_review(program: Path, stack: str) -> str:
    """The comment of a stack's last review.

    Raises:
        Fault: there was none.
    """
    report = recorded.read(program, stack)
    costs = cost.read(program, stack, report.base) if report.succeeded else None
    return comment(report, costs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, or 2 if there was no review to tell of.
    """
    parser = argparse.ArgumentParser(prog="python -m delivery.comment", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)

    def command() -> None:
        text = of_review(given.program, given.stack)
        file = recorded.files(given.program, given.stack)[2]
        file.write_text(text, encoding="utf-8")
        print(f"comment: {file}", file=sys.stderr)

    return guarded("comment", command)


if __name__ == "__main__":
    sys.exit(main())
