"""The pack without an engine: over manifests and over an exported state, with its exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from baseline.__main__ import main
from baseline.model import Value
from tests.policy.cases.builders import DEPLOYMENT, POD, Block, edited, pod_object, workload

BAD = edited(pod_object(POD), {"spec.hostPID": True})
NEVER = "2999-01-01"


def manifest(properties: Any, kind: str = "Pod", version: str = "v1") -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, **properties}


def written(folder: Path, *documents: Any, name: str = "web.yaml") -> Path:
    file = folder / name
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return file


def state(folder: Path, **changes: Any) -> Path:
    record = {
        "urn": workload().urn,
        "type": DEPLOYMENT,
        "custom": True,
        "inputs": workload().properties,
        **changes,
    }
    file = folder / "state.json"
    file.write_text(json.dumps({"version": 3, "deployment": {"resources": [record]}}), encoding="utf-8")
    return file


def config(folder: Path, content: Any) -> Path:
    file = folder / "levels.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_folder_of_manifests_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, manifest(BAD), {"not": "an object"})
    assert main(["--manifests", str(tmp_path)]) == 1
    output = capsys.readouterr().out
    assert "[mandatory] [severity: critical]  no-host-namespaces" in output
    assert "Pod/web: spec.hostPID is true; valid: absent or false." in output
    assert output.splitlines()[-1].startswith("1 resources, 66 policies: ")


@pytest.mark.parametrize(
    "document",
    [
        {"apiVersion": "v1", "kind": "List", "items": [manifest(BAD)]},
        {"apiVersion": "v1", "kind": "PodList", "items": [BAD]},
        manifest(edited(pod_object(POD), {"spec.host_pid": True})),
    ],
    ids=["a list of anything", "a list of pods", "snake_case"],
)
def test_other_ways_to_write_it_are_seen(
    document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--manifests", str(written(tmp_path, document))]) == 1
    assert "no-host-namespaces" in capsys.readouterr().out


def test_what_manifests_do_not_say_is_undecided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim = manifest({"metadata": {"name": "data", "namespace": "shop"}}, "PersistentVolumeClaim")
    main(["--manifests", str(written(tmp_path, claim))])
    assert "[undecided] [severity: high]  stateful-resources-protected" in capsys.readouterr().out


def test_state_is_checked_and_its_secrets_are_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret: Value = {
        "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
        "ciphertext": "abc",
    }
    edits: Block = {"spec.template.spec.hostPID": True, "spec.template.spec.hostIPC": secret}
    inputs = edited(workload().properties, edits)
    assert main(["--state", str(state(tmp_path, inputs=inputs))]) == 1
    output = capsys.readouterr().out
    assert "hostPID is true" in output
    assert "hostIPC is unknown until the update" in output


def test_quiet_report_holds_what_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--manifests", str(written(tmp_path, manifest(BAD))), "--quiet"])
    output = capsys.readouterr().out
    assert "[mandatory]" in output
    assert "[undecided]" not in output


def test_levels_and_exemptions_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state_file = state(tmp_path, inputs=edited(workload().properties, {"spec.template.spec.hostPID": True}))
    exemption = {
        "resource": f"{DEPLOYMENT}::web",
        "reason": "It looks at processes of the node.",
        "owner": "team",
        "expires": NEVER,
    }
    settings: dict[str, Any] = {"no-host-namespaces": {"exemptions": [exemption]}}
    main(["--state", str(state_file), "--config", str(config(tmp_path, settings))])
    assert "no-host-namespaces" not in capsys.readouterr().out
    settings["no-host-namespaces"]["exemptions"][0]["expires"] = "2020-01-01"
    main(["--state", str(state_file), "--config", str(config(tmp_path, settings))])
    output = capsys.readouterr().out
    assert "no-host-namespaces" in output
    assert "expired on 2020-01-01" in output
    main(["--state", str(state_file), "--config", str(config(tmp_path, {"no-host-namespaces": "advisory"}))])
    assert "[advisory] [severity: critical]  no-host-namespaces" in capsys.readouterr().out
    main(["--state", str(state_file), "--config", str(config(tmp_path, {"no-host-namespaces": "disabled"}))])
    assert "no-host-namespaces" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "mend the file"), ("a: 1\n", "no Kubernetes object in 1 files"), ("", "no Kubernetes object")],
)
def test_unreadable_manifests_are_refused(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(content)
    assert main(["--manifests", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", '{"deployment": 1}', '{"deployment": {"resources": [1]}}'])
def test_unreadable_states_are_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state.json").write_text(content)
    assert main(["--state", str(tmp_path / "state.json")]) == 2
    assert "pulumi stack export" in capsys.readouterr().err


def test_unknown_policies_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config(tmp_path, {"no-host-namespace": "advisory"})
    assert main(["--state", str(state(tmp_path)), "--config", str(file)]) == 2
    assert "no-host-namespace: no policy; valid: " in capsys.readouterr().err


def test_nothing_to_check_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main([])
    assert error.value.code == 2
    assert "one of the arguments --state --manifests is required" in capsys.readouterr().err
