"""The comment of a pull request: recorded previews, and the comments that reviewers get of them.

Recorded are the reports and costs of real previews of this program, each with one change; `python -m
tests.record_comments` records them anew. After a wanted change of the comment, `python -m tests.unit.test_comment`
writes the expected ones anew. Read the difference of either.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from components.cost.estimate import Estimate, Range
from delivery import comment, cost, recorded
from delivery.comment import LIMIT, marker
from simulator.report import Change, Report

DATA: Final = Path(__file__).parent / "data" / "comments"
CASES: Final = sorted(file.stem for file in DATA.glob("*.json"))


def estimate_of(data: dict[str, Any]) -> Estimate:
    components = {
        (row["type"], row["name"]): Range(low=row["low"], high=row["high"]) for row in data["components"]
    }
    return Estimate(components=components, unread=tuple(data["unread"]), edge=data["edge"])


def costs_of(data: dict[str, Any] | None) -> cost.Comparison | None:
    if data is None:
        return None
    before = estimate_of(data["before"]) if data["before"] else None
    return cost.Comparison(before=before, after=estimate_of(data["after"]))


def data_of(case: str) -> dict[str, Any]:
    """A recorded preview; `of` is another one's name, whose record is taken."""
    data: dict[str, Any] = json.loads((DATA / f"{case}.json").read_text(encoding="utf-8"))
    return {**data_of(data["of"]), **data} if "of" in data else data


def rendered(case: str) -> str:
    data = data_of(case)
    return comment.comment(
        recorded.report_of(data["report"]), costs_of(data["cost"]), data.get("limit", LIMIT)
    )


def change(**of: Any) -> Change:
    usual: dict[str, Any] = {
        "operation": "update",
        "type": "kubernetes:apps/v1:Deployment",
        "name": "api-deployment",
        "urn": "urn:pulumi:s::p::t::api-deployment",
        "component": "api",
        "component_type": "fixia:application:Workload",
        "properties": ("spec.replicas",),
        "causes": (),
    }
    return Change(**{**usual, **of})


def report(*changes: Change, **of: Any) -> Report:
    usual: dict[str, Any] = {
        "stack": "staging",
        "base": "main",
        "succeeded": True,
        "counts": {"update": len(changes)},
        "changes": changes,
        "packs": {"fixia-baseline": "0.1.0"},
        "policies_ran": True,
        "policies": 66,
        "violations": (),
        "diagnostics": (),
    }
    return Report(**{**usual, **of})


@pytest.mark.parametrize("case", CASES)
def test_the_comment_of_a_recorded_preview_is_as_expected(case: str) -> None:
    assert rendered(case) == (DATA / f"{case}.md").read_text(encoding="utf-8")


def test_twelve_previews_are_recorded() -> None:
    assert len(CASES) >= 12


@pytest.mark.parametrize("case", CASES)
def test_a_comment_begins_with_its_stacks_marker_and_fits(case: str) -> None:
    text = rendered(case)
    assert text.startswith(f"{marker(data_of(case)['report']['stack'])}\n")
    assert text.endswith("\n")
    assert len(text.encode()) <= data_of(case).get("limit", LIMIT)


@pytest.mark.parametrize("count", [1_000, 20_000])
def test_a_change_of_thousands_of_components_still_fits_and_says_what_it_leaves_out(count: int) -> None:
    many = [change(name=f"w{n}-deployment", component=f"w{n}") for n in range(count)]
    text = comment.comment(report(*many))
    assert len(text.encode()) <= LIMIT
    shown = text.count("\n#### ")
    assert 0 < shown < count
    assert f"{count - shown:,} changes of {count - shown:,} components" in text


def test_the_longest_of_every_section_together_still_fit() -> None:
    from simulator.report import Diagnostic, Violation

    long = "x" * 1_900
    lost = [
        change(operation="delete", type="kubernetes:core/v1:PersistentVolumeClaim", name=f"{long}{n}")
        for n in range(99)
    ]
    others = [change(operation="replace", name=f"{long}{n}", component=f"{long}{n}") for n in range(99)]
    text = comment.comment(
        report(
            *lost,
            *others,
            succeeded=False,
            violations=[
                Violation(level="mandatory", pack="p", policy=f"policy-{n}", resource=long, message=long)
                for n in range(99)
            ],
            diagnostics=[
                Diagnostic(severity="error", resource=long, message=f"{long}{n}") for n in range(99)
            ],
        )
    )
    assert len(text.encode()) <= LIMIT
    for heading in ("### Messages", "### Data", "### Replaced or deleted", "### Policies", "### Changes"):
        assert heading in text


def test_components_that_lose_something_come_first_and_whole() -> None:
    created = change(operation="create", component="a", name="a-service")
    deleted = change(operation="delete", component="z", name="z-service", type="kubernetes:core/v1:Service")
    also = change(operation="update", component="z", name="z-deployment")
    text = comment.comment(report(created, deleted, also))
    assert text.index("#### `z`") < text.index("#### `a`")
    assert "| `-` | **`kubernetes:core/v1:Service`** | **`z-service`** |" in text
    assert text.count("#### `z`") == 1


def test_what_a_resource_is_called_can_neither_mention_anybody_nor_leave_its_cell() -> None:
    text = comment.comment(report(change(name="@everybody | ``` <b> [a](b)")))
    assert "```` @everybody \\| ``` <b> [a](b) ````" in text


def test_without_a_change_it_says_so() -> None:
    text = comment.comment(report(counts={"same": 383}))
    assert "nothing changes" in text
    assert "383 unchanged" in text
    assert "### Changes" not in text


def test_a_cost_that_stays_is_one_line() -> None:
    estimate = Estimate(components={("fixia:data:Cache", "cache"): Range(low=1, high=2)})
    text = comment.comment(report(), cost.Comparison(before=estimate, after=estimate))
    assert "Stays at $1.00 to $2.00 in a month" in text


def write() -> None:
    """Write every expected comment anew."""
    for each in CASES:
        (DATA / f"{each}.md").write_text(rendered(each), encoding="utf-8")


if __name__ == "__main__":
    write()
