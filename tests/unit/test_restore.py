"""`make restore` before it touches anything: the plan, the question, the backup; kubectl and pulumi are fakes."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.backup.repository import Place, Repository, WebIdentity
from components.backup.restore import Restore, environment
from components.platform.credentials import Credential
from settings import restore
from settings.restore_cluster import Cluster
from tests.recorder import ROOT
from tests.unit.test_postgres import containers, env, recorded

PRODUCTION = (ROOT / "Pulumi.production.yaml").read_text()
WAY = {"set": "20261120-020000F", "earliest": 1795140000, "newest": 1795167000, "type": "time"}

FAKE_KUBECTL = """#!/usr/bin/env python3
import json, os, sys
from pathlib import Path
answers = json.loads(Path(os.environ["ANSWERS"]).read_text())
asked = " ".join(sys.argv[1:])
stdin = sys.stdin.read() if asked.endswith("-f -") else ""
with Path(os.environ["ASKED"]).open("a") as log:
    log.write(json.dumps([asked, stdin]) + "\\n")
for part, (code, said) in answers.items():
    if part in asked:
        print(said, file=sys.stdout if code == 0 else sys.stderr)
        sys.exit(code)
sys.exit(f"the fake kubectl was asked: {asked}")
"""


class Fakes:
    """A fake kubectl and a fake pulumi, what they were asked, and a stack's file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "Pulumi.production.yaml"
        self.file.write_text(PRODUCTION)
        self.asked = folder / "asked"
        self.asked.write_text("")
        self.answers: dict[str, tuple[int, str]] = {
            "current-context": (0, "production-eu"),
            "reach.sh": (0, json.dumps(WAY)),
            "get cronjobs": (0, self.jobs(minutes=10)),
            "rclone cat": (0, json.dumps({"rto_seconds": 240})),
            "--dry-run=client": (0, json.dumps(self.job())),
            "create -f -": (0, "job created"),
            "--for=condition=complete": (0, ""),
            "logs": (
                0,
                '{"level": "info", "event": "finished", "message": "public.orders is back.orders now"}',
            ),
        }

    @staticmethod
    def jobs(minutes: float | None) -> str:
        status = {}
        if minutes is not None:
            at = datetime.now(UTC) - timedelta(minutes=minutes)
            status = {"lastSuccessfulTime": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return json.dumps({"items": [{"status": status}, {}]})

    @staticmethod
    def job() -> dict[str, Any]:
        container = {"name": "x", "env": [{"name": "JOB", "value": "x"}, {"name": "TO", "value": "old"}]}
        return {"kind": "Job", "spec": {"template": {"spec": {"containers": [container]}}}}

    def calls(self) -> list[str]:
        return [json.loads(line)[0] for line in self.asked.read_text().splitlines()]

    def made(self) -> dict[str, str]:
        """The environment of the Job that was made."""
        (stdin,) = [said for _, said in map(json.loads, self.asked.read_text().splitlines()) if said]
        (container,) = json.loads(stdin)["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each["value"] for each in container["env"]}

    def run(self, *arguments: str) -> int:
        (self.folder / "answers").write_text(json.dumps(self.answers))
        return restore.main(["--stack", "production", "--program", str(self.folder), *arguments])

    def section(self) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self.file.read_text())["config"]["fixia:database"]
        return found


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    made = Fakes(tmp_path)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("kubectl", FAKE_KUBECTL), ("pulumi", '#!/bin/sh\necho "pulumi $*" >> "$PULUMI"\n')):
        (programs / name).write_text(text)
        (programs / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name, file in (("ANSWERS", "answers"), ("ASKED", "asked"), ("PULUMI", "pulumi")):
        monkeypatch.setenv(name, str(tmp_path / file))
    return made


def upped(fakes: Fakes) -> str:
    file = fakes.folder / "pulumi"
    return file.read_text() if file.exists() else ""


def test_the_plan_says_what_is_lost_and_only_the_restore_changes(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fakes.run("--to", "2026-11-20 08:03:00+00", "--yes") == 0
    said = capsys.readouterr().out
    assert "cluster production-eu" in said
    assert "backup 20261120-020000F; it can be from 2026-11-20 02:00:00+00 to 2026-11-20 09:30:00+00" in said
    assert "everything after 2026-11-20 08:03:00+00" in said
    assert "about 4 min" in said
    assert fakes.section()["restore"] == {"id": 1, "to": "2026-11-20 08:03:00+00"}
    before, after = PRODUCTION.splitlines(), fakes.file.read_text().splitlines()
    assert [line for line in after if line not in before] == [
        '    restore: {id: 1, to: "2026-11-20 08:03:00+00"}'
    ]
    assert len(after) == len(before) + 1
    assert upped(fakes) == "pulumi up --stack production --policy-pack policies --yes\n"


def test_the_next_restore_has_the_next_number(fakes: Fakes) -> None:
    assert fakes.run("--to", "latest", "--yes") == 0
    assert fakes.run("--to", "backup", "--set", "20261120-020000F", "--yes") == 0
    assert fakes.section()["restore"] == {"id": 2, "to": "backup", "set": "20261120-020000F"}
    told = [line for line in fakes.file.read_text().splitlines() if line.strip().startswith("restore: {")]
    assert told == ['    restore: {id: 2, to: "backup", set: "20261120-020000F"}']


def test_nothing_happens_before_the_stacks_name_is_typed(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for typed, code in (("yes\n", 2), ("", 2), ("production\n", 0)):
        reader, writer = os.pipe()
        os.write(writer, typed.encode())
        os.close(writer)
        with os.fdopen(reader) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            assert fakes.run("--to", "latest") == code
        if code:
            assert fakes.file.read_text() == PRODUCTION
            assert upped(fakes) == ""
            assert "nothing was changed" in capsys.readouterr().err


def test_a_moment_that_can_not_be_reached_is_refused_in_the_pods_own_words(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "2020-01-01 00:00:00+00 is before the end of the first backup that is kept; it can be from 2026"
    fakes.answers["reach.sh"] = (65, json.dumps({"error": why}, separators=(",", ":")) + "\nexit code 65")
    assert fakes.run("--to", "2020-01-01 00:00:00+00", "--yes") == 2
    assert f"refused: {why}" in capsys.readouterr().err
    assert fakes.file.read_text() == PRODUCTION


@pytest.mark.parametrize("to", ["yesterday", "2026-11-20", "2026-11-20 08:03:00", ""])
def test_a_time_without_its_zone_is_refused(fakes: Fakes, to: str) -> None:
    assert fakes.run(f"--to={to}", "--yes") == 2
    assert fakes.calls() == []


def test_a_fresh_backup_comes_first(fakes: Fakes) -> None:
    fakes.answers["get cronjobs"] = (0, Fakes.jobs(minutes=61))
    assert fakes.run("--to", "latest", "--yes") == 0
    (created,) = [call for call in fakes.calls() if "--dry-run=client" in call]
    assert "--from=cronjob/backups-snapshot" in created
    assert any("--for=condition=complete" in call for call in fakes.calls())


def test_no_backup_no_restore_unless_the_operator_has_one(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.answers["get cronjobs"] = (0, Fakes.jobs(minutes=None))
    fakes.answers["--for=condition=complete"] = (1, "timed out")
    fakes.answers["--for=condition=failed"] = (0, "")
    assert fakes.run("--to", "latest", "--yes") == 2
    assert "I_HAVE_ONE=1" in capsys.readouterr().err
    assert fakes.file.read_text() == PRODUCTION
    assert fakes.run("--to", "latest", "--yes", "--i-have-one") == 0


def test_a_new_cluster_is_asked_nothing(fakes: Fakes) -> None:
    fakes.answers = {}
    assert fakes.run("--to", "latest", "--yes", "--new-cluster") == 0
    assert fakes.calls() == []
    assert fakes.section()["restore"] == {"id": 1, "to": "latest"}


def test_a_database_that_does_not_run_can_be_restored_all_the_same(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.answers["reach.sh"] = (1, "error: container not found (postgresql)")
    assert fakes.run("--to", "latest", "--yes") == 2
    said = capsys.readouterr().err
    assert "container not found" in said
    assert "NEW_CLUSTER=1 asks nobody" in said
    assert fakes.file.read_text() == PRODUCTION


def test_what_is_restored_as_a_backup_has_it_loses_all_since_that_backup(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fakes.run("--to", "backup", "--yes") == 0
    assert "everything after backup 20261120-020000F" in capsys.readouterr().out


def test_a_pulumi_that_fails_leaves_an_operator_who_knows_what_to_do(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    (fakes.folder / "bin" / "pulumi").write_text("#!/bin/sh\nexit 255\n")
    assert fakes.run("--to", "latest", "--yes") == 255
    told = capsys.readouterr()
    assert "logs -f database-0 -c postgresql" in told.out
    assert "once more, it is done once" in told.err


def test_without_pulumi_nothing_is_begun(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (fakes.folder / "bin" / "pulumi").unlink()
    monkeypatch.setenv("PATH", str(fakes.folder / "bin"))
    assert fakes.run("--to", "latest", "--yes") == 2
    assert "pulumi: no such program" in capsys.readouterr().err
    assert fakes.file.read_text() == PRODUCTION


def test_one_who_changes_his_mind_changes_nothing(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Cluster, "start", interrupted)
    fakes.answers["get cronjobs"] = (0, Fakes.jobs(minutes=None))
    assert fakes.run("--to", "latest", "--yes") == 130
    assert "stopped: nothing was changed" in capsys.readouterr().err
    assert fakes.file.read_text() == PRODUCTION


def test_beside_the_live_one_nothing_of_the_stack_changes(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fakes.run("--scratch", "--to", "2026-11-20 08:03:00+00") == 0
    assert fakes.made() == {"JOB": "x", "TO": "2026-11-20 08:03:00+00", "SET": ""}
    assert "psql -h /scratch" in capsys.readouterr().out
    assert all("--namespace fixia-restore" in call for call in fakes.calls())
    assert fakes.file.read_text() == PRODUCTION
    assert upped(fakes) == ""


def test_one_table_of_a_dump(fakes: Fakes, capsys: pytest.CaptureFixture[str]) -> None:
    assert fakes.run("--table", "public.orders", "--dump", "20261115T063000Z") == 0
    assert fakes.made()["TABLE"] == "public.orders"
    assert fakes.made()["DUMP"] == "20261115T063000Z"
    assert capsys.readouterr().out.splitlines()[-1] == "info: public.orders is back.orders now"
    assert fakes.file.read_text() == PRODUCTION


def test_a_cluster_that_does_not_answer_is_told_in_its_words(
    fakes: Fakes, capsys: pytest.CaptureFixture[str]
) -> None:
    fakes.answers = {"": (1, "The connection to the server was refused")}
    assert fakes.run("--to", "latest", "--yes") == 2
    assert "The connection to the server was refused" in capsys.readouterr().err


def test_what_the_pod_is_told() -> None:
    assert environment(None) == {"RESTORE_ID": "0"}
    told = environment(Restore(id=3, to="backup", set="20261120-020000F_20261121-020000I"))
    assert told == {
        "RESTORE_ID": "3",
        "RESTORE_TO": "backup",
        "RESTORE_SET": "20261120-020000F_20261121-020000I",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 0, "to": "latest"},
        {"id": 1, "to": "noon"},
        {"id": 1, "to": "latest", "set": "$(id)"},
        {"id": 1, "to": "2026-11-20 08:03:00"},
    ],
)
def test_a_restore_that_is_none_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="restore"):
        Restore(**wrong)


REPOSITORY = Repository(
    place=Place(bucket="b", region="r", endpoint="s3.example"),
    cipher=Credential(current=pulumi.Output.secret("made-up")),
    access={"database": WebIdentity(role="arn:aws:iam::1:role/database")},
)


def pods(**changes: Any) -> list[dict[str, Any]]:
    """The container `postgresql` of the primary and of a standby."""
    recording = recorded(repository=REPOSITORY, standbys=1, **changes)
    return [
        containers(recording, name)["postgresql"]
        for name in ("database-stateful-set", "database-standby-stateful-set")
    ]


def test_a_restore_is_told_to_the_primary_and_to_standbys() -> None:
    for container in pods(restore=Restore(id=2, to="latest")):
        assert {k: v for k, v in env(container).items() if k.startswith("RESTORE_")} == {
            "RESTORE_ID": "2",
            "RESTORE_TO": "latest",
            "RESTORE_SET": "",
        }
    for container in pods():
        assert env(container)["RESTORE_ID"] == "0"


def test_a_restore_has_hours_before_the_kubelet_takes_it_for_a_hang() -> None:
    (restored, _), (usual, _) = pods(restore=Restore(id=2, to="latest")), pods()
    assert (
        restored["startupProbe"]["failureThreshold"] * restored["startupProbe"]["periodSeconds"] == 6 * 3600
    )
    assert usual["startupProbe"]["failureThreshold"] * usual["startupProbe"]["periodSeconds"] == 300


def test_the_way_back_is_found_by_scripts_that_are_in_the_pod() -> None:
    recording = recorded(repository=REPOSITORY)
    data = recording.one("kubernetes:core/v1:ConfigMap", "database-config").inputs["data"]
    assert {"reach.sh", "reach.jq"} <= data.keys()
    assert "reach.sh" not in recorded().one("kubernetes:core/v1:ConfigMap", "database-config").inputs["data"]


def test_without_a_repository_nothing_is_restored() -> None:
    with pytest.raises(ValueError, match="a restore needs the repository"):
        recorded(restore=Restore(id=1, to="latest"))
