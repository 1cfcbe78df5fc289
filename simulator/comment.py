"""A preview's report as Markdown, in the size and shape of a pull-request comment."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from simulator.markdown import block, cell, code
from simulator.report import DESTRUCTIVE, UNCHANGED, Change, Diagnostic, Report, Violation, name_of

LIMIT: Final = 65_536
"""GitHub refuses a longer comment. It counts characters; we count bytes, which are never fewer."""

_SYMBOLS: Final = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "read": ">", "import": "="}
_PLANNED: Final = {
    "create": "to create",
    "update": "to update",
    "replace": "to replace",
    "delete": "to delete",
    "read": "to read",
    "import": "to import",
    "refresh": "to refresh",
    UNCHANGED: "unchanged",
}
_SECTION: Final = 12_000
"""Bytes that a section above the table may take: four of them leave room for it in any case."""
_PATHS: Final = 12
"""Property paths that one line shows."""


def to_markdown(report: Report, limit: int = LIMIT) -> str:
    """Return the report as Markdown.

    What matters most comes first. If it is too long, rows of the table of changes are left out, and a
    line says how many.

    Args:
        report: the report.
        limit: the most bytes of UTF-8 that the result may have; at least 50,000 to hold every section.

    Returns:
        Markdown that ends with a newline.
    """
    head = "".join(
        f"{section}\n"
        for section in (
            f"## Preview of `{report.stack}`\n",
            f"{_verdict(report)}\n",
            _destruction(report.changes),
            _diagnostics(report.diagnostics),
            _policies(report),
        )
        if section
    )
    return head + _table(report.changes, limit - len(head.encode()))


def _verdict(report: Report) -> str:
    counts = [
        f"{count} {_PLANNED.get(operation, operation)}"
        for operation, count in sorted(report.counts.items(), key=lambda pair: _rank(pair[0]))
    ]
    compared = f"Compared with {code(report.base)}. " if report.base else ""
    numbers = f"{compared}Resources: {', '.join(counts) or 'none'}."
    if report.succeeded:
        return f"{'✅ Nothing changes' if not report.changes else '✅ The preview succeeded'}. {numbers}"
    errors = sum(each.severity == "error" for each in report.diagnostics)
    mandatory = sum(each.level == "mandatory" for each in report.violations)
    reasons = [_plural(errors, "error"), _plural(mandatory, "mandatory policy violation")]
    return f"❌ **The preview failed**: {', '.join(filter(None, reasons)) or 'see its output'}. {numbers}"


def _rank(operation: str) -> int:
    order = [*_PLANNED]
    return order.index(operation) if operation in order else len(order)


def _plural(count: int, noun: str) -> str:
    plural = f"{noun.removesuffix('y')}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count} {noun if count == 1 else plural}" if count else ""


def _destruction(changes: Sequence[Change]) -> str:
    lines = []
    for operation in DESTRUCTIVE:
        for change in (change for change in changes if change.operation == operation):
            because = f" because of {_paths(change.causes)}" if change.causes else ""
            what = f"{code(change.type)} {code(change.name)}"
            lines.append(f"- **{operation}: {what}**{because}\n")
    return _bounded("### ⚠️ Replaced or deleted\n\n", lines, "resources") if lines else ""


def _diagnostics(diagnostics: Sequence[Diagnostic]) -> str:
    lines = []
    for diagnostic in sorted(diagnostics, key=lambda each: each.severity):
        about = f" of {code(name_of(diagnostic.resource))}" if diagnostic.resource else ""
        lines.append(f"**{diagnostic.severity}**{about}\n\n{block(diagnostic.message)}\n")
    return _bounded("### Messages\n\n", lines, "messages") if lines else ""


def _policies(report: Report) -> str:
    if not report.packs:
        return "### Policies\n\nNo policy pack ran.\n"
    packs = ", ".join(code(f"{name} {version}".strip()) for name, version in report.packs.items())
    if not report.policies_ran and not report.violations:
        return f"### Policies\n\n{packs}: policies did not run: the program failed.\n"
    if not report.violations:
        number = _plural(report.policies, "policy")
        so_far = "" if report.succeeded else " until the failure"
        return f"### Policies\n\n{packs} ran{number and f' {number}'}: no violations{so_far}.\n"
    head = f"### Policies\n\n{packs}\n\n| level | policy | resource | message |\n|---|---|---|---|\n"
    ranked = sorted(report.violations, key=lambda each: (each.level != "mandatory", each.policy))
    return _bounded(head, [_violation(each) for each in ranked], "violations")


def _violation(violation: Violation) -> str:
    level = f"**{violation.level}**" if violation.level == "mandatory" else violation.level
    resource = code(name_of(violation.resource)) if violation.resource else ""
    message = cell(violation.message)
    return f"| {level} | {code(violation.policy)} | {resource} | {message} |\n"


def _table(changes: Sequence[Change], room: int) -> str:
    """Return the changes grouped by component, as many as fit."""
    if not changes:
        return ""
    parts = ["### Changes\n"]
    shown = 0
    room -= len(parts[0].encode()) + len(_left_out(len(changes)).encode())
    for (kind, name), group in groupby(sorted(changes, key=_group), key=_group):
        heading = f"\n#### {code(name)} {code(kind)}\n\n| | type | name | changed |\n|---|---|---|---|\n"
        for index, change in enumerate(group):
            text = (heading if index == 0 else "") + _row(change)
            room -= len(text.encode())
            if room < 0:
                return "".join([*parts, _left_out(len(changes) - shown)])
            parts.append(text)
            shown += 1
    return "".join(parts)


def _group(change: Change) -> tuple[str, str]:
    return change.component_type, change.component


def _row(change: Change) -> str:
    symbol = _SYMBOLS.get(change.operation, change.operation)
    return f"| `{symbol}` | {code(change.type)} | {code(change.name)} | {_paths(change.properties)} |\n"


def _left_out(count: int) -> str:
    return f"\n_{count} more rows are left out: the comment would be too long. The JSON report has all._\n"


def _bounded(head: str, lines: Iterable[str], what: str) -> str:
    """Join a section's lines until it is full."""
    pending = list(lines)
    room = _SECTION - len(head.encode())
    parts = [head]
    for index, line in enumerate(pending):
        room -= len(line.encode())
        if room < 0:
            parts.append(f"\n_{len(pending) - index} more {what} are left out; the JSON report has all._\n")
            break
        parts.append(line)
    return "".join(parts)


def _paths(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _PATHS} more" if len(paths) > _PATHS else ""
    return ", ".join(code(path) for path in paths[:_PATHS]) + more
