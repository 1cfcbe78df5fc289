"""What stops a pull request, each as one clear line; the engine's messages are its own words."""

import json
from pathlib import Path
from typing import Any

import pytest

from delivery import gate, messages, stateful
from simulator.faults import USAGE, Fault
from simulator.report import Change, Diagnostic, Report, Violation, to_json
from tests.recorder import ROOT, Recording

URN = "urn:pulumi:production::fixia::fixia:data:Database$kubernetes:core/v1:PersistentVolumeClaim::database-data"


def change(operation: str, type_: str, name: str, component_type: str = "fixia:data:Database") -> Change:
    return Change(
        operation=operation,
        type=type_,
        name=name,
        urn=f"urn:pulumi:s::p::{type_}::{name}",
        component="database",
        component_type=component_type,
        properties=(),
        causes=(),
    )


CLAIM = change("replace", "kubernetes:core/v1:PersistentVolumeClaim", "database-data")


def report(*changes: Change, **of: Any) -> Report:
    usual: dict[str, Any] = {
        "stack": "production",
        "base": None,
        "succeeded": True,
        "counts": {},
        "changes": changes,
        "packs": {},
        "policies_ran": True,
        "policies": 66,
        "violations": (),
        "diagnostics": (),
    }
    return Report(**{**usual, **of})


def test_a_replaced_volume_is_held_and_names_its_runbook() -> None:
    (line,) = gate.reasons(report(CLAIM), [])
    assert "database-data" in line
    assert "docs/runbooks/restore-the-database.md" in line
    assert gate.LABEL in line


def test_the_label_lets_it_through() -> None:
    assert gate.reasons(report(CLAIM), ["other", gate.LABEL]) == []


@pytest.mark.parametrize(
    "passed",
    [
        change("update", "kubernetes:apps/v1:StatefulSet", "database-stateful-set"),
        change("create", "kubernetes:core/v1:PersistentVolumeClaim", "database-data"),
        change("delete", "kubernetes:core/v1:ConfigMap", "database-config"),
        change("delete", "random:index/randomPassword:RandomPassword", "credentials-jwt-secret-0"),
    ],
    ids=lambda passed: f"{passed.operation} {passed.name}",
)
def test_what_loses_nothing_passes(passed: Change) -> None:
    assert gate.reasons(report(passed), []) == []


@pytest.mark.parametrize(
    ("held", "runbook"),
    [
        (
            change("delete", "kubernetes:apps/v1:StatefulSet", "cache-stateful-set", "fixia:data:Cache"),
            "cache-down",
        ),
        (change("delete", "kubernetes:core/v1:Namespace", "data-namespace", "x"), "disaster-cluster-lost"),
        (change("replace", "aws:s3/bucket:Bucket", "backups-repository", "x"), "repository-damaged"),
        (change("delete", "aws:kms/key:Key", "backups-repository-key", "x"), "repository-damaged"),
        (change("delete", "kubernetes:postgresql.cnpg.io/v1:Cluster", "database"), "database-cloudnative-pg"),
        (
            change("delete", "kubernetes:apps/v1:StatefulSet", "prometheus", "fixia:monitoring:Prometheus"),
            "disaster-data-deleted",
        ),
        (
            change(
                "delete", "random:index/randomPassword:RandomPassword", "credentials-backup-cipher-1", "x"
            ),
            "repository-damaged",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Change) else value,
)
def test_everything_that_keeps_data_is_held(held: Change, runbook: str) -> None:
    (line,) = gate.reasons(report(held), [])
    assert f"docs/runbooks/{runbook}.md" in line


def test_every_runbook_of_a_stateful_resource_exists() -> None:
    for kept in [*stateful.KEPT.values(), *stateful._OF_COMPONENT.values()]:
        assert (ROOT / kept.runbook).is_file(), kept.runbook


def test_every_protected_resource_of_production_is_one_that_the_gate_knows(
    recordings: dict[str, Recording],
) -> None:
    protected = [one for one in recordings["production"].all.values() if one.options["protect"]]
    assert protected
    for one in protected:
        if one.type.startswith("fixia:"):
            continue
        assert gate.reasons(report(change("delete", one.type, one.name)), []), f"{one.type} {one.name}"


def test_a_mandatory_violation_is_named_and_advice_is_not() -> None:
    violations = [
        Violation(
            level=level,
            pack="p",
            policy=policy,
            resource="urn:pulumi:s::p::t::api",
            message="a is 1\nRemedy: b",
        )
        for level, policy in (("mandatory", "run-as-non-root"), ("advisory", "high-user-id"))
    ]
    assert gate.reasons(report(succeeded=False, violations=violations), []) == [
        "policy run-as-non-root of api is broken: a is 1"
    ]


def test_a_failed_preview_never_passes() -> None:
    (line,) = gate.reasons(report(succeeded=False), [gate.LABEL])
    assert "failed" in line


def test_a_failed_preview_is_explained_where_the_engine_said_why() -> None:
    said = Diagnostic(
        severity="error",
        resource="",
        message="error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or",
    )
    (line,) = gate.reasons(report(succeeded=False, diagnostics=[said]), [])
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("a, stateful-change,", {"a", "stateful-change"}),
        ('["stateful-change", "with, comma"]', {"stateful-change", "with, comma"}),
        (" []", set()),
    ],
)
def test_labels_come_as_names_or_as_json(text: str, expected: set[str]) -> None:
    assert gate.labels_of(text) == expected


@pytest.mark.parametrize("text", ["[", "[1]", '["a"'])
def test_labels_that_are_no_list_of_names_are_refused(text: str) -> None:
    with pytest.raises(Fault, match="--labels"):
        gate.labels_of(text)


def run(program: Path, *arguments: str) -> int:
    return gate.main(["--stack", "production", "--program", str(program), *arguments])


def test_the_command_ends_with_1_and_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/preview-production.json").write_text(to_json(report(CLAIM)))
    assert run(tmp_path) == gate.HELD
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "gate: replace of kubernetes:core/v1:PersistentVolumeClaim database-data would lose"
    )
    assert run(tmp_path, "--labels", json.dumps([gate.LABEL])) == 0
    assert "may go on" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{", "[]", '{"stack": "x"}'])
def test_without_a_readable_preview_nothing_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        (tmp_path / "build").mkdir()
        (tmp_path / "build/preview-production.json").write_text(content)
    assert run(tmp_path) == USAGE
    error = capsys.readouterr().err
    assert "to do:" in error
    assert "Traceback" not in error


SAID = {
    "not-ready": (
        "error: resource fixia-app/release-smoke-1 was successfully created, but the Kubernetes API server reported "
        "that it failed to fully initialize or become live: x",
        ["release-smoke-1", "old version still serves"],
    ),
    "locked": (
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the "
        "lock file with `pulumi cancel`.\n  file:///state/.pulumi/locks/organization/fixia/production/1f.json: created by "
        "ana@runner (pid 7) at 2026-11-20T12:00:00Z",
        ["ana@runner", "2026-11-20T12:00:00Z", "pulumi cancel --stack production"],
    ),
    "interrupted": (
        "warning: Attempting to deploy or update resources with 2 pending operations from previous deployment.\n"
        f"  * {URN}, interrupted while creating\n  * urn:pulumi:a::b::c::other, interrupted while updating\n"
        "These resources are in an unknown state because the Pulumi CLI was interrupted while waiting",
        ["while creating database-data", "2 pending", "pulumi refresh --stack production"],
    ),
    "plan-out-of-date": (
        f"error: resource {URN} violates plan: properties changed: ~~spec[{{map[a:{{b}}]}}!={{map[]}}]",
        ["at database-data", "properties changed", "preview again"],
    ),
    "protected": (
        f'error: resource "{URN}" cannot be deleted\nbecause it is protected. To unprotect the resource, either remove the '
        "`protect` flag from the resource in your Pulumi program and run `pulumi up`, or use the command:\n",
        ["database-data", "protected"],
    ),
    "drifted": ("error: no changes were expected for preview but changes were proposed", ["drifted"]),
    "unknown-stack": ("error: no stack named 'production' found", ["production", "PULUMI_BACKEND_URL"]),
    "settings": (
        "error: Pulumi.production.yaml: 2 settings are wrong\n  fixia:stack.owner\n    found: nothing\n",
        ["Pulumi.production.yaml", "2 wrong settings"],
    ),
}
"""kind -> what pulumi 3.256 prints (pkg/backend/diy/lock.go, pkg/resource/deploy), and what our line must hold."""


@pytest.mark.parametrize("kind", SAID)
def test_the_engines_message_becomes_one_line(kind: str) -> None:
    said, wanted = SAID[kind]
    (found,) = messages.explain(said, "production")
    assert found.kind == kind
    assert "\n" not in found.line
    for piece in wanted:
        assert piece in found.line


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (
            "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE",
            "no passphrase",
        ),
        ("error: could not decrypt configuration value: incorrect passphrase", "wrong passphrase"),
        (
            "  fixia:secrets.cloudflare-edge-token.value\n    found: nothing\n    valid: the credential, set by `x`",
            "secret cloudflare-edge-token of stack production is not set",
        ),
        (
            "error: Missing required configuration variable 'fixia:code'",
            "pulumi config set --secret --stack production fixia:code",
        ),
    ],
)
def test_a_missing_secret_is_named_with_the_way_to_set_it(said: str, wanted: str) -> None:
    (found,) = messages.explain(said, "production")
    assert found.kind == "missing-secret"
    assert wanted in found.line


@pytest.mark.parametrize(
    "said",
    [
        "error: create is not allowed by the plan: this resource is constrained to same",
        f"error: expected resource operations for {URN} but none were seen",
        "error: resource violates plan: properties changed: a",
    ],
)
def test_other_words_for_an_old_plan_are_known_too(said: str) -> None:
    (found,) = messages.explain(said, "production")
    assert found.kind == "plan-out-of-date"


def test_colours_are_no_part_of_a_message() -> None:
    coloured = "\x1b[31merror: \x1b[0mno stack named '\x1b[1mproduction\x1b[0m' found<{%reset%}>"
    assert [each.kind for each in messages.explain(coloured, "production")] == ["unknown-stack"]


def test_what_is_not_known_is_not_explained_and_twice_is_once() -> None:
    assert messages.explain("error: something else", "production") == []
    twice = "error: no stack named 'a' found\nerror: no stack named 'a' found"
    assert len(messages.explain(twice, "production")) == 1
