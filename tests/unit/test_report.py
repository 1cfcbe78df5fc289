"""The preview's report, from events that the engine really wrote."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from simulator.comment import LIMIT, to_markdown
from simulator.report import Event, Report, build, read_events, to_json

DATA = Path(__file__).parent / "data"


def recorded(name: str) -> list[Event]:
    return read_events((DATA / f"events-{name}.jsonl").read_text(encoding="utf-8").splitlines())


@pytest.fixture
def changes() -> Report:
    """A preview that replaces, deletes and creates, and breaks two policies."""
    return build("dev", recorded("changes"), succeeded=False, base="main")


def step(op: str, name: str, **metadata: Any) -> Event:
    """A resource's event in the shape of the recorded ones."""
    urn = f"urn:pulumi:dev::shop::random:index/randomString:RandomString::{name}"
    state = {"urn": urn, "type": "random:index/randomString:RandomString", "custom": True, "parent": ""}
    fields = {"op": op, "urn": urn, "type": state["type"], "old": None, "new": state, "detailedDiff": None}
    return {"resourcePreEvent": {"metadata": {**fields, **metadata}}}


def test_the_steps_of_a_replacement_are_one_change(changes: Report) -> None:
    replaced = [change for change in changes.changes if change.name == "database-suffix"]
    assert [(change.operation, change.properties, change.causes) for change in replaced] == [
        ("replace", ("length",), ("length",))
    ]
    assert changes.counts == {"same": 3, "replace": 1, "create": 1, "delete": 2}


def test_a_change_belongs_to_its_nearest_component(changes: Report) -> None:
    assert {change.name: (change.component, change.component_type) for change in changes.changes} == {
        "database-suffix": ("database", "shop:rooms:Room"),
        "database-id": ("database", "shop:rooms:Room"),
        "cache-name": ("cache", "shop:rooms:Room"),
        "cache": ("cache", "shop:rooms:Room"),
    }


def test_policy_results_carry_level_name_and_resource(changes: Report) -> None:
    assert changes.packs == {"rules": "0.0.1"}
    assert changes.policies == 2
    assert [(found.level, found.policy, found.resource.split("::")[-1]) for found in changes.violations] == [
        ("advisory", "long-strings", "database-suffix"),
        ("mandatory", "few", "shop-dev"),
    ]


def test_the_markdown_starts_with_the_verdict_and_what_is_destroyed(changes: Report) -> None:
    lines = to_markdown(changes).splitlines()
    assert lines[0] == "## Preview of `dev`"
    assert lines[2] == (
        "❌ **The preview failed**: 1 mandatory policy violation. Compared with `main`. "
        "Resources: 1 to create, 1 to replace, 2 to delete, 3 unchanged."
    )
    assert lines[6:9] == [
        "- **replace: `random:index/randomString:RandomString` `database-suffix`** because of `length`",
        "- **delete: `random:index/randomPet:RandomPet` `cache-name`**",
        "- **delete: `shop:rooms:Room` `cache`**",
    ]


def test_a_message_cannot_break_out_of_its_table_cell(changes: Report) -> None:
    row = next(line for line in to_markdown(changes).splitlines() if "`long-strings`" in line)
    assert row == (
        "| advisory | `long-strings` | `database-suffix` | "
        "`Strings are long.`<br>`the string is short \\| use 32`<br>`` see `docs` `` |"
    )


def test_values_of_properties_stay_out(changes: Report) -> None:
    value = "Tb0KgFX"
    assert value in (DATA / "events-changes.jsonl").read_text(encoding="utf-8"), "the recording has it"
    assert value not in to_markdown(changes)
    assert value not in to_json(changes)


def test_a_failed_program_is_reported_with_its_traceback() -> None:
    report = build("dev", recorded("traceback"), succeeded=False)
    assert [diagnostic.severity for diagnostic in report.diagnostics] == ["error"]
    markdown = to_markdown(report)
    assert "❌ **The preview failed**: 1 error." in markdown
    assert '  File "/program/__main__.py", line 2, in f\n' in markdown
    assert "No policy pack ran." in markdown


def test_an_update_names_the_paths_that_the_provider_gave() -> None:
    diff = {"spec.replicas": {"diffKind": "update"}, "metadata.labels.a": {"diffKind": "add"}}
    report = build("dev", [step("update", "x", detailedDiff=diff, diffs=["spec"])], succeeded=True)
    assert report.changes[0].properties == ("metadata.labels.a", "spec.replicas")
    assert report.changes[0].causes == ()
    assert (
        "| `~` | `random:index/randomString:RandomString` | `x` | `metadata.labels.a`, `spec.replicas` |"
        in (to_markdown(report))
    )


def test_only_the_forcing_paths_are_named_as_causes_of_a_replacement() -> None:
    diff = {"a": {"diffKind": "update"}, "b": {"diffKind": "update-replace"}}
    events = [step(op, "x", detailedDiff=diff) for op in ("create-replacement", "replace", "delete-replaced")]
    change = build("dev", events, succeeded=True).changes[0]
    assert (change.properties, change.causes) == (("a", "b"), ("b",))


def test_nothing_changes() -> None:
    report = build("dev", [step("same", "x")], succeeded=True)
    assert to_markdown(report) == (
        "## Preview of `dev`\n\n✅ Nothing changes. Resources: 1 unchanged.\n\n"
        "### Policies\n\nNo policy pack ran.\n\n"
    )


def test_a_pack_without_violations_says_how_much_it_checked() -> None:
    events = [event for event in recorded("changes") if "policyEvent" not in event]
    markdown = to_markdown(build("dev", events, succeeded=True))
    assert "`rules 0.0.1` ran 2 policies: no violations." in markdown


def test_a_long_report_fits_a_comment_and_counts_what_it_leaves_out() -> None:
    events = [step("create", f"string-{index:05}") for index in range(3000)]
    markdown = to_markdown(build("dev", events, succeeded=True))
    assert LIMIT * 0.9 < len(markdown.encode()) <= LIMIT
    shown = markdown.count("| `+` |")
    assert f"_{3000 - shown} more rows are left out: the comment would be too long." in markdown


def test_every_section_at_its_longest_still_fits_a_comment() -> None:
    events = [copy.deepcopy(dict(event)) for event in recorded("changes")]
    for index in range(400):
        events.append(dict(step("delete", f"gone-{index:03}-{'n' * 200}")))
        message = f"{index} " + "é|`" * 2000
        events.append({"diagnosticEvent": {"severity": "error", "message": message, "urn": ""}})
        violation = {"policyPackName": "rules", "policyName": f"p{index}", "message": message}
        events.append({"policyEvent": {**violation, "enforcementLevel": "mandatory", "resourceUrn": ""}})
    markdown = to_markdown(build("dev", events, succeeded=False))
    assert len(markdown.encode()) <= LIMIT
    for section in ("### ⚠️ Replaced or deleted", "### Messages", "### Policies", "### Changes"):
        assert section in markdown


def test_colours_and_unfinished_lines_of_the_log_are_dropped() -> None:
    lines = [
        json.dumps({"diagnosticEvent": {"severity": "warning", "message": "<{%fg 1%}>careful<{%reset%}>\n"}}),
        '{"diagnosticEvent": {"sever',
    ]
    report = build("dev", read_events(lines), succeeded=True)
    assert [diagnostic.message for diagnostic in report.diagnostics] == ["careful"]


def test_the_json_is_the_report(changes: Report) -> None:
    data = json.loads(to_json(changes))
    assert data["succeeded"] is False
    assert data["counts"] == changes.counts
    assert data["changes"][0]["urn"] == changes.changes[0].urn


def pack_ran(name: str, kind: str = "policyAnalyzeSummaryEvent") -> Event:
    urn = f"urn:pulumi:dev::shop::pulumi:pulumi:Stack::{name}"
    return {
        kind: {"resourceUrn": urn, "policyPackName": "rules", "policyPackVersion": "0.0.1", "passed": ["few"]}
    }


def test_policies_that_saw_only_the_stack_of_a_failed_program_did_not_run() -> None:
    """The engine shows their pack with a tick."""
    events = [*recorded("traceback"), pack_ran("shop-dev", "policyAnalyzeSummaryEvent")]
    report = build("dev", events, succeeded=False)
    assert (report.policies_ran, report.policies) == (False, 0)
    assert json.loads(to_json(report))["policies_ran"] is False
    said = "### Policies\n\n`rules 0.0.1`: policies did not run: the program failed.\n"
    assert said in to_markdown(report)
    assert "no violations" not in to_markdown(report)


def test_policies_that_saw_a_resource_before_the_failure_ran() -> None:
    events = [*recorded("traceback"), pack_ran("shop-dev"), step("create", "x")]
    report = build("dev", events, succeeded=False)
    assert (report.policies_ran, report.policies) == (True, 1)
    assert "`rules 0.0.1` ran 1 policy: no violations until the failure." in to_markdown(report)


def test_policies_of_an_empty_program_that_succeeded_ran() -> None:
    assert build("dev", [pack_ran("shop-dev")], succeeded=True).policies_ran
