"""A release's pods for real: the recorded containers' processes, with what the platform tells them."""

import contextlib
import http.client
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.artifact import fakes
from tests.artifact.entrance_world import free_ports
from tests.artifact.sample_app import (
    AppPod,
    Ran,
    application_or_skip,
    run,
    servers,
    started,
)
from tests.recorder import Recording

READ_BY_NODE = {"NODE_ENV", "NODE_OPTIONS"}
READ_BEFORE_ALL = {"LOG_LEVEL"}
ACCEPTED = re.compile(r"_(PREVIOUS|NEXT)_FILE$|^OTEL_")
"""Values that a credential's owner accepts beside the one that callers show; what OpenTelemetry's SDK reads itself."""

LOAD = """
import { readFileSync } from 'node:fs';
import { ConfigError, loadConfig } from './src/config.js';
const read = new Set();
const env = new Proxy(JSON.parse(readFileSync(0, 'utf8')), {
  get: (all, name) => (read.add(name), all[name]),
});
try {
  const config = loadConfig(process.argv[1], env);
  console.log(JSON.stringify({ config, read: [...read], faults: [] }));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.log(JSON.stringify({ faults: error.faults }));
}
"""


@pytest.fixture(scope="module")
def staging(recordings: Mapping[str, Recording]) -> Recording:
    return recordings["staging"]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return application_or_skip(tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def services(app: Path) -> Iterator[Mapping[str, str]]:
    with servers(app) as there:
        yield there


def step(recording: Recording, name: str) -> dict[str, Any]:
    """The specification of a step's pod."""
    jobs = recording.of_type("kubernetes:batch/v1:Job")
    (job,) = [job for job in jobs if job.name.startswith(f"release-{name}")]
    spec: dict[str, Any] = job.inputs["spec"]["template"]["spec"]
    return spec


class SmokePod(AppPod):
    """The smoke step's pod, at free ports of the loopback instead of its own network's."""

    def __init__(
        self, folder: Path, recording: Recording, services: Mapping[str, str], app: Path, **changed: str
    ) -> None:
        spec = step(recording, "smoke")
        super().__init__(folder, recording, spec, services)
        ((self._runner,), (self._candidate,)) = spec["containers"], spec["initContainers"]
        self.app, self.folder = app, folder
        self.port, metrics = free_ports(2)
        self._changed = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "METRICS_PORT": str(metrics),
            **changed,
        }

    @property
    def candidate_log(self) -> str:
        return (self.folder / "candidate.log").read_text(encoding="utf-8")

    @contextlib.contextmanager
    def candidate(self) -> Iterator[subprocess.Popen[str]]:
        environment = {**self.environment(self._candidate["name"]), **self._changed}
        with started(
            self.app, self._candidate["args"], environment, self.folder / "candidate.log"
        ) as process:
            yield process

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """The candidate, once the kubelet would start the smoke test beside it."""
        probe = self._candidate["startupProbe"]["httpGet"]

        def answers() -> bool:
            assert process.poll() is None, self.candidate_log
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
                try:
                    connection.request("GET", probe["path"])
                    return connection.getresponse().status == 200
                except ConnectionError:
                    return False

        with self.candidate() as process:
            fakes.until(answers, "the candidate to start")
            yield

    def smoke(self, *more: str) -> Ran:
        told = f"127.0.0.1:{self.told(self._candidate['name'])['PORT']}"
        recorded = self._runner["args"]
        arguments = [argument.replace(told, f"127.0.0.1:{self.port}") for argument in recorded]
        assert arguments != recorded, f"the smoke test does not ask {told}"
        environment = {**self.environment(self._runner["name"]), **self._changed}
        return run(self.app, [*arguments, *more], environment, self.folder / "smoke.log")


@pytest.fixture(scope="module")
def migrated(
    staging: Recording, services: Mapping[str, str], app: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """The services after the release's first step, which is run as recorded."""
    folder = tmp_path_factory.mktemp("migrate")
    spec = step(staging, "migrate")
    (runner,) = spec["containers"]
    environment = AppPod(folder / "pod", staging, spec, services).environment(runner["name"])
    ran = run(app, runner["args"], environment, folder / "migrate.log")
    assert ran.code == 0, ran.output
    return services


def test_a_first_release_passes_while_no_worker_runs(
    staging: Recording, migrated: Mapping[str, str], app: Path, tmp_path: Path
) -> None:
    pod = SmokePod(tmp_path, staging, migrated, app)
    with pod.up():
        ran = pod.smoke()

    assert ran.code == 0, ran.output + pod.candidate_log
    checks = re.findall(r"^ok {4}(.*) \(\d+ ms\)$", ran.output, re.MULTILINE)
    assert checks == ["health", "version", "signup", "login", "item", "job queued", "account removed"]


def test_a_candidate_without_its_database_fails_and_is_told_so(
    staging: Recording, migrated: Mapping[str, str], app: Path, tmp_path: Path
) -> None:
    (closed,) = free_ports(1)
    pod = SmokePod(tmp_path, staging, migrated, app, PGPORT=str(closed))
    with pod.up():
        ran = pod.smoke("--wait", "1")

    assert (ran.code, ran.output) == (1, "FAIL  health: the status is down, database\n")


def test_a_candidate_whose_secret_is_too_short_ends_at_once_and_the_smoke_test_fails(
    staging: Recording, migrated: Mapping[str, str], app: Path, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.write_text("short", encoding="utf-8")
    pod = SmokePod(tmp_path / "pod", staging, migrated, app, JWT_SECRET_FILE=str(short))
    with pod.candidate() as process:
        assert process.wait(fakes.PATIENCE_SECONDS) == 2
        ran = pod.smoke("--wait", "1")

    assert "JWT_SECRET_FILE" in pod.candidate_log
    assert ran.code == 1
    assert re.match(r"FAIL  health: .*ECONNREFUSED", ran.output), ran.output


def pods(recording: Recording) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Every pod of the application by name: its specification, and its container that has a configuration."""
    migrate, smoke = step(recording, "migrate"), step(recording, "smoke")
    found = {"migrate": (migrate, migrate["containers"][0]), "smoke": (smoke, smoke["initContainers"][0])}
    for deployment in recording.of_type("kubernetes:apps/v1:Deployment"):
        name = deployment.name.removesuffix("-deployment")
        spec = deployment.inputs["spec"]["template"]["spec"]
        if told := [container for container in spec["containers"] if "envFrom" in container]:
            (found[name],) = [(spec, container) for container in told]
    return found


def test_what_the_platform_tells_each_workload_is_understood(
    recording: Recording, app: Path, tmp_path: Path
) -> None:
    everything = pods(recording)
    assert {"migrate", "smoke", "api", "web", "realtime", "worker"} <= set(everything)
    all_told: set[str] = set()
    all_read = READ_BY_NODE | READ_BEFORE_ALL
    for name, (spec, container) in everything.items():
        pod = AppPod(tmp_path / name, recording, spec, {})
        told = pod.told(container["name"])
        loaded = load(app, container["args"][0], pod.environment(container["name"]))

        assert loaded["faults"] == [], name
        all_told |= set(told)
        all_read |= set(loaded["read"])
        config = loaded["config"]
        for variable, key in (
            ("PORT", "port"),
            ("METRICS_PORT", "metricsPort"),
            ("DRAIN_SECONDS", "drainSeconds"),
            ("BODY_LIMIT_BYTES", "bodyLimit"),
        ):
            assert variable not in told or config[key] == int(told[variable]), (name, variable)
        for variable, key in (
            ("TRUSTED_PROXIES", "trustedProxies"),
            ("CORS_ORIGINS", "corsOrigins"),
            ("CONNECT_ORIGINS", "connectTo"),
        ):
            assert config[key] == list(filter(None, told.get(variable, "").split(","))), (name, variable)
    # The steps are told what their whole workload is; what no role reads is a word that nobody hears.
    assert {variable for variable in all_told - all_read if not ACCEPTED.search(variable)} == set()


def load(app: Path, role: str, environment: Mapping[str, str]) -> Any:
    """What the application itself makes of its variables."""
    command = ["node", "--input-type=module", "--eval", LOAD, role]
    told = json.dumps(environment)
    ended = subprocess.run(command, cwd=app, input=told, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
