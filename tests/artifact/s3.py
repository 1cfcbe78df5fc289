"""An S3 over TLS on this machine: versitygw on a folder, behind a proxy that records and fails.

with s3(folder, ["backups"]) as store:
    store.endpoint, store.authority          # "localhost:PORT", PEM
    store.key, store.secret                  # the administrator's
    key, secret = store.user("database")     # another user's; `Call.user` is its key
    store.calls                              # what was asked so far: `s3_proxy.Call`
    with store.fault(Rule(status=503)): ...  # faults while the body runs
    store.path("backups")                    # the bucket as a folder: keys are paths
"""

import os
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from simulator.golang.install import installed, kept
from simulator.programs import registry
from tests.artifact.pod import eventually, free_port, sign
from tests.artifact.s3_proxy import Call, Rule, Traffic, proxy

KEY, SECRET = "administrator", "administrators-secret"
REGION = "eu-central-1"
STS, AWS = "sts.amazonaws.com", f"s3.{REGION}.amazonaws.com"
"""The token service and the storage by the names that they have with AWS."""


def gateway() -> Path:
    """The program, if it is there or may be built; else the test is skipped."""
    program = registry.PROGRAMS["versitygw"]
    if found := kept(program):
        return found
    if os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip(
            "no versitygw, and it builds for a minute: `make test-backup`, "
            "or python -m simulator.programs versitygw"
        )
    return installed(program)


class S3:
    """A running one; see the module."""

    key, secret, region = KEY, SECRET, REGION

    def __init__(self, folder: Path, port: int, traffic: Traffic) -> None:
        self.endpoint = f"localhost:{port}"
        self.authority = (folder / "authority" / "ca.crt").read_text()
        self.tls = folder / "tls"
        self.traffic = traffic
        self._buckets = folder / "buckets"
        self._users: dict[str, tuple[str, str]] = {}
        self._admin = f"http://127.0.0.1:{traffic.upstream}"

    @property
    def calls(self) -> list[Call]:
        """Every call so far, the oldest first."""
        return list(self.traffic.calls)

    def actions(self, user: str) -> set[str]:
        """What one user was allowed to do so far."""
        key = self.user(user)[0]
        return {call.action for call in self.calls if call.user == key and call.status < 400}

    def path(self, bucket: str) -> Path:
        """The folder of a bucket."""
        return self._buckets / bucket

    def objects(self, bucket: str) -> dict[str, Path]:
        """All of a bucket's objects: key -> file."""
        place = self.path(bucket)
        files = (path for path in sorted(place.rglob("*")) if path.is_file())
        return {
            str(path.relative_to(place)): path
            for path in files
            if not any(part.startswith(".sgwtmp") for part in path.relative_to(place).parts)
        }

    def user(self, name: str) -> tuple[str, str]:
        """A user's access key and secret; the user is made at the first time, and may use every bucket."""
        if name not in self._users:
            self._users[name] = (f"key-{name}", f"secret-of-{name}")
            key, secret = self._users[name]
            subprocess.run(
                [gateway(), "admin", "--access", KEY, "--secret", SECRET, "--region", REGION,
                 "--endpoint-url", self._admin, "create-user", "--access", key, "--secret", secret,
                 "--role", "admin"],
                check=True, capture_output=True,
            )  # fmt: skip
        return self._users[name]

    @contextmanager
    def fault(self, rule: Rule) -> Iterator[Rule]:
        """Let calls fail, by a rule, while the body runs."""
        with self.traffic.lock:
            self.traffic.rules.insert(0, rule)
        try:
            yield rule
        finally:
            if rule.gate:
                rule.gate.set()
            with self.traffic.lock:
                self.traffic.rules.remove(rule)

    def gone(self) -> "ExitStack":
        """No call is answered while the body runs."""
        stack = ExitStack()
        stack.enter_context(self.fault(Rule(cut=True)))
        return stack

    @contextmanager
    def held(self, rule: Rule) -> Iterator[Rule]:
        """Let calls wait until the body has ended, or `rule.gate.set()`."""
        rule.gate = threading.Event()
        with self.fault(rule):
            yield rule

    @contextmanager
    def token_service(self, address: str, roles: dict[str, str]) -> Iterator[None]:
        """Answer as `STS`, and as `AWS`, at port 443 of an address of the loopback.

        Args:
            address: such as `127.0.7.1`.
            roles: ARN -> the name of the user whose keys it gives.
        """
        self.traffic.roles = {arn: self.user(name) for arn, name in roles.items()}
        with proxy(self.traffic, self.tls, address=address, port=443):
            yield


@contextmanager
def s3(folder: Path, buckets: Sequence[str]) -> Iterator[S3]:
    """Run one.

    Args:
        folder: for its data, certificate and log; it need not exist.
        buckets: the buckets that it has.
    """
    program = gateway()
    for name in ("tls", "buckets", "users", *(f"buckets/{bucket}" for bucket in buckets)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sign(folder / "tls", folder / "authority", names=("localhost", "127.0.0.1", STS, AWS))
    traffic = Traffic(free_port())
    command: list[str | Path] = [program, "--port", f"127.0.0.1:{traffic.upstream}", "--region", REGION, "--quiet",
               "--keep-alive", "--iam-dir", folder / "users", "--iam-cache-disable", "--health", "/health",
               "posix", "--disable-object-lock-file", folder / "buckets"]  # fmt: skip
    env = {"ROOT_ACCESS_KEY": KEY, "ROOT_SECRET_KEY": SECRET, "PATH": os.environ["PATH"]}
    with ExitStack() as stack:
        log = stack.enter_context((folder / "gateway.log").open("ab"))
        running = stack.enter_context(subprocess.Popen(command, env=env, stdout=log, stderr=log))
        stack.callback(running.kill)

        def answers() -> bool:
            assert running.poll() is None, (folder / "gateway.log").read_text()
            try:
                url = f"http://127.0.0.1:{traffic.upstream}/health"
                with urllib.request.urlopen(url, timeout=2) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        eventually(answers, "versitygw answers")
        port = stack.enter_context(proxy(traffic, folder / "tls"))
        yield S3(folder, port, traffic)
