"""What `make restore` asks of the cluster and has it do: by kubectl, as whoever runs it."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

DATABASE: Final = "database"
BACKUPS: Final = "backups"
"""The names of the two components in the cluster."""

_RESULT: Final = 'exec rclone cat "repository:$REPOSITORY_BUCKET/results/restore-test.json"'


class ClusterError(Exception):
    """kubectl said no, with its own words."""


class NoPodError(ClusterError):
    """The database's pod can't be asked: it does not run, or there is none."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a moment is reached: what reach.sh says.

    Attributes:
        backup: the label of the backup to begin with.
        earliest: the earliest moment that can be reached, in seconds since 1970.
        newest: the newest one.
        kind: what ends the recovery.
    """

    backup: str
    earliest: int
    newest: int
    kind: str


class Cluster:
    """One namespace of the cluster that kubectl talks to.

    Args:
        namespace: where the database is.
        context: kubectl's; its current one unless told.
    """

    def __init__(self, namespace: str, context: str | None = None) -> None:
        self.namespace = namespace
        self._context = ["--context", context] if context else []

    def name(self) -> str:
        """The context, which an operator knows the cluster by.

        Raises:
            ClusterError: there is none.
        """
        if self._context:
            return self._context[1]
        return self._kubectl("config", "current-context").strip()

    def way(self, to: str, backup: str | None) -> Way:
        """Ask the database's pod how a moment is reached; nothing is changed.

        Raises:
            ClusterError: there is no way; it says why.
            NoPodError: there is nobody to ask.
        """
        asked = ["bash", "/etc/database/reach.sh", to, backup or ""]
        try:
            told = self._in("exec", f"{DATABASE}-0", "-c", "postgresql", "--", *asked)
        except ClusterError as error:
            if reason := _reason(str(error)):
                raise ClusterError(reason) from None
            raise NoPodError(str(error)) from None
        found = json.loads(told)
        return Way(
            backup=found["set"], earliest=found["earliest"], newest=found["newest"], kind=found["type"]
        )

    def newest_backup(self) -> datetime | None:
        """When a backup job last succeeded; None if none ever did.

        Raises:
            ClusterError: the cluster does not answer.
        """
        listed = self._json("get", "cronjobs", f"{BACKUPS}-backup", f"{BACKUPS}-snapshot", "-o", "json")
        times = [item.get("status", {}).get("lastSuccessfulTime") for item in listed["items"]]
        return max((_time(time) for time in times if time), default=None)

    def measured_seconds(self) -> float | None:
        """How long the last restore test took from an empty folder to the first answer; None if unknown."""
        try:
            told = self._in("exec", f"deploy/{BACKUPS}-monitor", "-c", "monitor", "--", "sh", "-c", _RESULT)
            return float(json.loads(told)["rto_seconds"])
        except (ClusterError, ValueError, KeyError):
            return None

    def start(self, job: str, name: str, env: Mapping[str, str]) -> None:
        """Start one of the backup jobs now.

        Args:
            job: as its CronJob is named, without the component's name.
            name: of the new Job.
            env: environment variables of its container, also instead of its own.

        Raises:
            ClusterError: it could not be made.
        """
        cron_job = f"cronjob/{BACKUPS}-{job}"
        made = self._json("create", "job", name, f"--from={cron_job}", "--dry-run=client", "-o", "json")
        (container,) = made["spec"]["template"]["spec"]["containers"]
        others = [each for each in container.get("env", []) if each["name"] not in env]
        container["env"] = others + [{"name": key, "value": value} for key, value in env.items()]
        self._in("create", "-f", "-", stdin=json.dumps(made))

    def wait(self, name: str, seconds: int) -> None:
        """Wait until a Job has succeeded.

        Raises:
            ClusterError: it failed, or not within that time; with the last lines of its log.
        """
        until = datetime.now(UTC).timestamp() + seconds
        while datetime.now(UTC).timestamp() < until:
            for condition in ("complete", "failed"):
                try:
                    self._in("wait", f"job/{name}", f"--for=condition={condition}", "--timeout=5s")
                except ClusterError:
                    continue
                if condition == "complete":
                    return
                raise ClusterError(f"job {name} failed:\n{self.log(name)}")
        raise ClusterError(f"job {name} has not ended within {seconds} s:\n{self.log(name)}")

    def log(self, job: str, lines: int = 5) -> str:
        """The last lines of a Job's log, in words; empty if there are none."""
        try:
            told = self._in("logs", f"job/{job}", f"--tail={lines}")
        except ClusterError:
            return ""
        return "\n".join(_words(line) for line in told.splitlines())

    def _json(self, *arguments: str) -> Any:
        return json.loads(self._in(*arguments))

    def _in(self, *arguments: str, stdin: str | None = None) -> str:
        return self._kubectl("--namespace", self.namespace, *arguments, stdin=stdin)

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command: Sequence[str] = ["kubectl", *self._context, *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, input=stdin)
        except OSError as error:
            raise ClusterError(f"kubectl: {error.strerror}; install it, or add it to PATH") from None
        if done.returncode:
            said = (done.stderr.strip() or "kubectl failed") + "\n" + done.stdout.strip()
            raise ClusterError(said.strip())
        return done.stdout


def _reason(text: str) -> str | None:
    """What reach.sh has said among what kubectl adds."""
    for line in text.splitlines():
        if line.startswith('{"error"'):
            reason: str = json.loads(line)["error"]
            return reason
    return None


def _words(line: str) -> str:
    """What one line of a job's log says; each is an object with an event and, mostly, a message."""
    try:
        told = json.loads(line)
        return f"{told['level']}: {told['message'] or told['event']}"
    except (ValueError, KeyError, TypeError):
        return line


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
