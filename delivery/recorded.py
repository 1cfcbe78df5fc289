"""What an earlier preview left in `build/`: its report, read back."""

import json
from pathlib import Path
from typing import Any

from simulator.faults import USAGE, Fault
from simulator.report import Change, Diagnostic, Report, Violation


def report_of(data: dict[str, Any]) -> Report:
    """The report that `simulator.report.to_json` wrote, from its parsed JSON.

    Raises:
        TypeError: it is of another shape.
    """
    changes = [
        Change(**{**each, "properties": tuple(each["properties"]), "causes": tuple(each["causes"])})
        for each in data["changes"]
    ]
    violations = [Violation(**each) for each in data["violations"]]
    diagnostics = [Diagnostic(**each) for each in data["diagnostics"]]
    return Report(**{**data, "changes": changes, "violations": violations, "diagnostics": diagnostics})


def files(program: Path, stack: str) -> tuple[Path, Path, Path]:
    """Where a review keeps a stack's report, the resources behind it, and the comment."""
    build = program / "build"
    return build / f"preview-{stack}.json", build / f"steps-{stack}.json", build / f"comment-{stack}.md"


def read(program: Path, stack: str) -> Report:
    """The report of a stack's last preview.

    Raises:
        Fault: there is none, or it can't be read.
    """
    file = files(program, stack)[0]
    try:
        return report_of(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        found = "no preview of this stack was recorded"
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"it is no report of a preview ({type(error).__name__}: {error})"
    raise Fault(
        where=str(file),
        found=found,
        valid="what a preview writes",
        do=f"python -m delivery.review --stack {stack}",
        exit_code=USAGE,
    )
