"""What watching costs: series, memory, disk, the rules' time, by number of pods; and how soon it tells."""

import json
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from bench.measure import exponent, say
from simulator.session import Session
from tests.artifact import watched_world
from tests.artifact.faults import FAULTS
from tests.artifact.pod import eventually, free_port, system
from tests.artifact.prometheus_pod import Server
from tests.artifact.test_boards import Server as Prometheus
from tests.artifact.test_boards import told, written
from tests.recorder import Recording as Recorded
from tests.recorder import record_stack

PODS: Final = (10, 100, 300)
SCRAPES: Final = 20
"""Of each target, a second apart: after these, memory and disk are read."""
FAULTS_OF: Final = {"P1": "database down", "P2": "pool paused", "P3": "one Alertmanager gone"}
"""A fault for each class of alerts that somebody is told of soon."""
FAULT_ROUNDS: Final = 1
PATIENCE: Final = 90.0
THIRTY_DAYS: Final = 30 * 86400 // 30
"""Samples of a series."""


class Pods:
    """So many pods of the application, each telling what one that was recorded tells.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        # Made once: who is asked each second must not be busy writing names.
        self._series = [
            (_named(name, labels, number), float(value.lstrip("+")), value.startswith("+"))
            for number in range(count)
            for name, labels, value in _of_one_pod()
        ]

    def metrics(self, moment: int) -> str:
        """What all of them tell after so many scrapes."""
        return "".join(
            f"{series} {value * moment if rises else value:g}\n" for series, value, rises in self._series
        )


def _named(name: str, labels: str, number: int) -> str:
    return name + "{" + re.sub('pod="[^"]*"', f'pod="api-{number}"', labels) + "}"


def _of_one_pod() -> list[tuple[str, str, str]]:
    """All series of the recorded data that name one pod of the API."""
    theirs = [each for each in told() if 'pod="api-1"' in each.labels]
    return [series for each in theirs for series in each.series() if series[2][0] != "@"]


def monitoring(folder: Path, _: Session) -> dict[str, Any]:
    """Prometheus as the production stack's rules have it, beside one with neither rules nor targets.

    Targets are simulated: a server that tells what one recorded pod tells, as often as there are pods. The
    programs are real, Debian's. Time to the message is of `make test-faults`' world, where waits, windows and
    scrapes are a sixtieth: `told_s` is as measured there, `holds_s` what the rule waits there.

    Args:
        folder: for data; made.

    Returns:
        `recorded_stack`: its series and its size on disk. By number of pods (0: production's rules without a
        target, `empty`: nothing at all): series, resident memory, the size of the log of what was not yet
        packed, after `SCRAPES` scrapes, and how long all groups of rules took the last time.
        By class of alerts the seconds from a fault until all receivers had it.
    """
    folder.mkdir(parents=True)
    recording = record_stack("production")
    files = _rules(recording)
    found: dict[str, Any] = {"rules": sum(len(g["rules"]) for each in files.values() for g in each["groups"])}
    found["recorded_stack"] = _recorded(folder / "recorded")
    found["empty"] = _measured(folder / "empty", {}, Pods(0))
    for count in (0, *PODS):
        found[str(count)] = _measured(folder / str(count), files, Pods(count))
        say(f"{count} pods: {found[str(count)]}")
    grown = {count: found[str(count)]["series"] - found["0"]["series"] for count in PODS}
    found["series_per_pod"] = {count: round(more / count, 1) for count, more in grown.items()}
    found["series_exponent"] = exponent({count: float(more) for count, more in grown.items()})
    found["seconds_to_the_message"] = _told(folder / "faults")
    return found


def _rules(recording: Recorded) -> dict[str, Any]:
    """File name -> rules, as the stack's Prometheus reads them."""
    data = recording.one("kubernetes:core/v1:ConfigMap", "prometheus-rules").inputs["data"]
    return {name: yaml.safe_load(text) for name, text in data.items()}


def _recorded(folder: Path) -> dict[str, float]:
    """The recorded small platform as blocks on disk, and what 30 days of it would take, each 30 seconds."""
    folder.mkdir()
    text = written()
    samples = sum(1 for line in text.splitlines() if not line.startswith("#"))
    (folder / "series.txt").write_text(text, encoding="utf-8")
    promtool = system("prometheus") / "usr" / "bin" / "promtool"
    made: list[str | Path] = [
        promtool,
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "-q",
        "series.txt",
        "data",
    ]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    size = sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())
    series = sum(len(list(each.series())) for each in told())
    per_sample = size / samples
    return {
        "series": series,
        "bytes_per_sample": round(per_sample, 2),
        "thirty_days_mib": round(series * THIRTY_DAYS * per_sample / 2**20, 1),
    }


def _measured(folder: Path, files: Mapping[str, Any], pods: Pods) -> dict[str, float]:
    scrapes = [0]

    def answer(_path: str, _headers: Mapping[str, str]) -> tuple[int, str]:
        scrapes[0] += 1
        return 200, pods.metrics(scrapes[0])

    folder.mkdir()
    with (
        Server(answer) as target,
        _prometheus(folder, files, target.port if pods.count else None) as running,
    ):
        server, process = running
        if pods.count:
            eventually(lambda: scrapes[0] >= SCRAPES, "everything is scraped often enough", 6 * PATIENCE)
        else:
            # As many evaluations as the others have.
            time.sleep(SCRAPES)
        took = json.loads(
            server.get("/api/v1/query", query="sum(prometheus_rule_group_last_duration_seconds)")
        )
        metrics = server.get("/metrics")
        head = re.search(r"^prometheus_tsdb_head_series (\S+)", metrics, re.MULTILINE)
        memory = psutil.Process(process.pid).memory_info().rss
    size = sum(path.stat().st_size for path in (folder / "data").rglob("*") if path.is_file())
    took = re.findall(r"^prometheus_rule_group_last_duration_seconds\{.*} (\S+)$", metrics, re.MULTILINE)
    return {
        "series": float(head[1]) if head else 0.0,
        "resident_mib": round(memory / 2**20, 1),
        "log_mib": round(size / 2**20, 2),
        "rules_s": round(sum(map(float, took)), 4),
    }


@contextmanager
def _prometheus(
    folder: Path, files: Mapping[str, Any], port: int | None
) -> Iterator[tuple[Prometheus, "subprocess.Popen[bytes]"]]:
    programs = system("prometheus") / "usr" / "bin"
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    jobs = [
        {"job_name": "pods", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    ]
    settings = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "5s"},
        "rule_files": [*files],
        "scrape_configs": jobs if port else [],
    }
    (folder / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")
    server = Prometheus(free_port())
    command: list[str | Path] = [
        programs / "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{server.port}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    try:
        eventually(lambda: _ready(server, process, folder), "Prometheus is ready", PATIENCE)
        yield server, process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _ready(server: Prometheus, process: "subprocess.Popen[bytes]", folder: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError((folder / "log").read_text(encoding="utf-8"))
    try:
        return "Ready" in server.get("/-/ready")
    except OSError:
        return False


def _told(folder: Path) -> dict[str, Any]:
    """Class of alerts -> how long it took until all who must be told had been."""
    from tests.artifact import test_faults_reach_people as people  # it brings pytest

    folder.mkdir()
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        world = stack.enter_context(watched_world.watched(folder))
        for severity, fault in FAULTS_OF.items():
            cause, alerts = FAULTS[fault]
            alert = next(each for each in alerts if world.alerts[each].severity == severity)
            taken = []
            for _ in range(FAULT_ROUNDS):
                eventually(lambda alert=alert: not world.fires(alert), f"{alert} is quiet", PATIENCE)  # type: ignore[misc]
                since, began = people.marks(world), time.monotonic()
                with cause(world):
                    told = people.awaited(world, [alert], "firing", since, began)
                taken.append(told[alert])
            holds = world.alerts[alert].minutes * 60 / watched_world.FACTOR
            found[severity] = {"alert": alert, "holds_s": holds, "told_s": round(statistics.median(taken), 1)}
            say(f"{severity}, {fault}: {found[severity]}")
    return found
