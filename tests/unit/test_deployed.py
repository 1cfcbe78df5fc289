"""What is told of a deployment: from git, the settings and the policies' file, the same as long as they are."""

import json
import subprocess
from pathlib import Path

import pytest

from components.monitoring.deployed import CONFIG_MAP
from settings.revision import UNKNOWN, Revision, revision
from tests.recorder import ROOT, Recording

PERSON = {"GIT_AUTHOR_NAME": "Ada Lovelace", "GIT_AUTHOR_EMAIL": "a@example.invalid"}
OTHER = {"GIT_AUTHOR_NAME": "Grace Hopper", "GIT_AUTHOR_EMAIL": "g@example.invalid"}


class Clone:
    """A repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("init", "-q")

    def commit(self, file: str, text: str, author: dict[str, str] = PERSON) -> str:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        self._git("add", "-A")
        self._git("commit", "-qm", "x", author=author)
        return self._git("rev-parse", "HEAD")[:12]

    def _git(self, *arguments: str, author: dict[str, str] = PERSON) -> str:
        environment = {
            **author,
            "GIT_COMMITTER_NAME": "c",
            "GIT_COMMITTER_EMAIL": "c@example.invalid",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


def test_it_is_the_last_commit_that_changed_the_stack_or_the_program(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    program = clone.commit("components/x.py", "1")
    assert revision(tmp_path, "staging") == Revision(commit=program, author="Ada Lovelace")
    clone.commit("docs/x.md", "words", OTHER)
    clone.commit("Pulumi.production.yaml", "other: 1", OTHER)
    assert revision(tmp_path, "staging").commit == program
    own = clone.commit("Pulumi.staging.yaml", "a: 1", OTHER)
    assert revision(tmp_path, "staging") == Revision(commit=own, author="Grace Hopper")


def test_files_that_differ_from_it_are_told(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    commit = clone.commit("__main__.py", "1")
    (tmp_path / "README.md").write_text("words", encoding="utf-8")
    assert revision(tmp_path, "staging").commit == commit
    (tmp_path / "__main__.py").write_text("2", encoding="utf-8")
    assert revision(tmp_path, "staging").commit == f"{commit}-edited"


def test_where_git_knows_nothing_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision(tmp_path, "staging") == Revision(commit=UNKNOWN, author=UNKNOWN)
    monkeypatch.setenv("PATH", "")
    assert revision(tmp_path, "staging") == Revision(commit=UNKNOWN, author=UNKNOWN)


def test_it_is_said_once_what_serves_stands_and_restarts_nothing(recording: Recording) -> None:
    facts = recording.one("kubernetes:core/v1:ConfigMap", "deployed-facts")
    assert facts.inputs["metadata"]["name"] == CONFIG_MAP
    assert "immutable" not in facts.inputs
    assert "cluster-in-place" in facts.provider
    deployments = {
        urn for urn, resource in recording.all.items() if resource.type == "fixia:application:Workload"
    }
    assert {each.split("::")[-1] for each in deployments} <= {
        each.split("::")[-1].removesuffix("-deployment") for each in facts.options["depends_on"]
    }
    daemon_set = recording.one("kubernetes:apps/v1:DaemonSet", "node-exporter-daemon-set").inputs
    volumes = {each["name"]: each for each in daemon_set["spec"]["template"]["spec"]["volumes"]}
    assert volumes["facts"]["configMap"] == {"name": CONFIG_MAP, "optional": True}


def test_what_the_policies_let_pass_is_told(recordings: dict[str, Recording]) -> None:
    told = {
        stack: recording.one("kubernetes:core/v1:ConfigMap", "deployed-facts").inputs["data"]
        for stack, recording in recordings.items()
    }
    assert (
        'platform_policy_lowered{policy="min-replicas",level="advisory"} 1'
        in told["staging"]["policies.prom"]
    )
    assert "platform_policy_lowered" not in told["production"]["policies.prom"]
    levels = json.loads((ROOT / "policies" / "levels.production.json").read_text(encoding="utf-8"))
    exempt = len(levels["min-replicas"]["exemptions"])
    assert (
        f'platform_policy_exemptions{{policy="min-replicas"}} {exempt}' in told["production"]["policies.prom"]
    )
    for stack, files in told.items():
        assert f'platform_deploy_info{{stack="{stack}",version="1.0.0",commit="' in files["deploy.prom"]
