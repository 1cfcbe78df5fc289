"""The pack by itself: `python -m baseline --state state.json`, or `--manifests folder`.

Exit status: 0 if no mandatory policy is broken, 1 if one is, 2 if what was given can't be read.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from baseline.exemptions import Ledger
from baseline.offline import Finding, InputError, read_config, read_manifests, read_state, run
from baseline.pack import POLICIES

_ORDER = ("advisory", "undecided", "mandatory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names, and print one report.

    Args:
        arguments: The command line without the program's name; the process's own if left out.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m baseline", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--state", type=Path, metavar="FILE", help="what `pulumi stack export` wrote")
    source.add_argument(
        "--manifests", type=Path, metavar="PLACE", help="a file or folder of Kubernetes objects"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="levels, options and exemptions, as JSON")
    parser.add_argument("--quiet", action="store_true", help="leave out what is only advised")
    options = parser.parse_args(arguments)
    try:
        config = read_config(options.config, POLICIES)
        found = read_state(options.state) if options.state else read_manifests(options.manifests)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    findings = list(run(POLICIES, found, config, Ledger()))
    print(report(findings, len(found), quiet=options.quiet))
    return 1 if any(one.level == "mandatory" for one in findings) else 0


def report(findings: Sequence[Finding], resources: int, *, quiet: bool = False) -> str:
    """Write what was found: what stops an update comes last, where a terminal shows it.

    Args:
        findings: The findings.
        resources: How many resources were looked at.
        quiet: Whether to leave out what is only advised.

    Returns:
        The report.
    """
    lines = []
    for one in sorted(findings, key=lambda one: _ORDER.index(one.level)):
        if quiet and one.level != "mandatory":
            continue
        lines.append(f"[{one.level}] [severity: {one.severity}]  {one.policy}")
        lines += [f"    {line}" for line in one.text.splitlines()]
    counts = Counter(one.level for one in findings)
    said = ", ".join(f"{counts[level]} {level}" for level in reversed(_ORDER))
    lines.append(f"{resources} resources, {len(POLICIES)} policies: {said}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
