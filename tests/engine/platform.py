"""The repository's own program on the simulated providers, with settings that a test may edit."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from settings.workload import COLLECTOR
from simulator.report import Report, Violation, build, read_events
from simulator.session import Session
from simulator.stack_file import with_placeholders
from tests.recorder import ROOT

Config = dict[str, Any]


def config(stack: str = "staging") -> Config:
    """A stack's configuration as plain data."""
    data: Config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return data


def without(settings: Config, *sections: str) -> Config:
    """A configuration without some of its sections: no test need wait for what it is not about."""
    kept = {key: value for key, value in settings.items() if key.removeprefix("fixia:") not in sections}
    if "monitoring" in sections:  # who talks to its collector would talk to nobody
        kept["fixia:workloads"] = {
            name: {**told, "talksTo": [peer for peer in told["talksTo"] if peer != COLLECTOR]}
            if "talksTo" in told
            else told
            for name, told in kept["fixia:workloads"].items()
        }
    return kept


def core() -> Config:
    """Staging without what watches it, stands in front of it and backs it up: half of its objects."""
    return without(config(), "monitoring", "edge", "backup")


def program_copy(folder: Path) -> Path:
    """The program in a folder of its own, so that a test may break it."""
    folder.mkdir(parents=True)
    for part in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(ROOT / part, folder)
    for part in ("components", "settings", "policies", "images"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


@dataclass
class Platform:
    """One stack of the program in a private session.

    Attributes:
        session: where the engine runs.
        folder: for settings and event logs.
        program: the program's folder; the repository unless a test broke a copy.
        stack: the stack's name.
    """

    session: Session
    folder: Path
    program: Path = ROOT
    stack: str = "staging"
    output: str = field(default="", init=False)
    """Everything that the engine has printed so far."""

    def run(
        self,
        command: str,
        settings: Mapping[str, Any] | None = None,
        *options: str,
        program: Path | None = None,
        failing: str = "",
    ) -> tuple[subprocess.CompletedProcess[str], Report]:
        """Runs `pulumi preview`, `up`, `refresh` or `destroy` and reads what the engine did.

        Args:
            command: the engine's command.
            settings: the stack's configuration; the committed one unless given.
            *options: more options.
            program: another folder than the platform's own.
            failing: the name of a resource that the simulated cloud fails to create or change.
        """
        file = self.folder / f"Pulumi.{self.stack}.yaml"
        if settings is not None or not file.exists():
            plain = file.with_suffix(".plain")
            plain.write_text(yaml.safe_dump({"config": dict(settings or config(self.stack))}))
            with_placeholders(plain, file)
        log = self.folder / "events.jsonl"
        log.unlink(missing_ok=True)
        yes = () if command == "preview" else ("--yes", "--skip-preview")
        done = self.session.pulumi(
            *(command, "--stack", self.stack, "--config-file", str(file), "--event-log", str(log), *yes),
            *options,
            program=program or self.program,
            capture=True,
            env={"PULUMI_DEBUG_COMMANDS": "true", "FIXIA_SIMULATOR_FAIL": failing},
        )
        self.output += done.stdout + done.stderr
        events = read_events(log.read_text().splitlines()) if log.exists() else []
        return done, build(self.stack, events, succeeded=done.returncode == 0)

    def state(self, *options: str) -> list[dict[str, Any]]:
        """The resources in the stack's state."""
        # Not in the program's folder: the engine would write its salt into the stack's file there.
        (elsewhere,) = (self.session.folder / "projects").iterdir()
        done = self.session.pulumi(
            "stack", "export", "--stack", self.stack, *options, program=elsewhere, capture=True
        )
        exported = json.loads(done.stdout)
        return list(exported["deployment"].get("resources", []))

    def record(self, kind: str, name: str) -> dict[str, Any]:
        """What the simulated cloud holds of one Kubernetes object."""
        for file in self.session.cloud.rglob("*.json"):
            record = json.loads(file.read_text())
            inputs: dict[str, Any] = record.get("inputs", {})
            if inputs.get("kind") == kind and inputs["metadata"]["name"] == name:
                return inputs
        raise LookupError(f"no {kind} {name} in the simulated cloud")


def policies(stack: str = "staging", levels: Path | None = None) -> tuple[str, ...]:
    """The options that run the whole pack.

    Args:
        stack: whose levels it runs at.
        levels: a file of other levels.
    """
    config = levels or ROOT / "policies" / f"levels.{stack}.json"
    return ("--policy-pack", "policies", "--policy-pack-config", str(config))


def broken(report: Report) -> list[Violation]:
    """The violations that stop a command; the others are advice."""
    return [violation for violation in report.violations if violation.level == "mandatory"]


def operations(report: Report) -> dict[str, str]:
    """What happens to each resource, by name, unchanged ones and the stack itself left out."""
    return {
        change.name: change.operation
        for change in report.changes
        if not change.type.startswith("pulumi:pulumi:") and ":" in change.type
    }
