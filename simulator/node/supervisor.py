"""What runs inside a node and keeps it running: `python -m simulator.node.supervisor FOLDER`.

It starts each part when those that it needs are ready, starts again what ends, and writes down how they are.
When it ends, the node's first process ends too, and with it the kernel ends everything else.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

from simulator.node import credentials, outside, walls
from simulator.node.certificates import Certificates
from simulator.node.client import Client, Refused
from simulator.node.parts import BRIDGE, Part, parts
from simulator.node.place import Place
from simulator.node.volumes import Volumes

POLL_SECONDS: Final = 0.2
CABLE_SECONDS: Final = 30.0
LARGEST_LOG: Final = 20 * 10**6
_BACKOFF_SECONDS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS: Final = 120.0
"""A part that ran so long has not failed to begin: the next pause is short again."""


@dataclass
class Running:
    """A part and what became of it so far."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    since: float = 0.0
    restarts: int = 0
    failures: int = 0
    was_ready: bool = False
    last_end: str = ""
    not_before: float = 0.0

    def tell(self) -> dict[str, Any]:
        """Return what `status` shows of it."""
        pid = self.process.pid if self.process and self.process.returncode is None else None
        return {
            "name": self.part.name,
            "pid": pid,
            "since": self.since,
            "restarts": self.restarts,
            "lastEnd": self.last_end,
            "ready": self.was_ready and pid is not None,
        }


class Supervisor:
    """Keeps the parts of a node running.

    Args:
        place: the node's.
        programs: where each program is.
    """

    def __init__(self, place: Place, programs: dict[str, Path]) -> None:
        self._place = place
        _await_cable(place)
        self._credentials = credentials.issue(place)
        outside.prepare(place, self._credentials.authority)
        self._running = [Running(part) for part in parts(place, programs, self._credentials)]
        self._written = ""

    def run(self) -> None:
        """Keep the parts running, for ever."""
        self._forget_sockets()
        folder = self._place.volumes
        for name, interval, made in (
            ("volumes", 1.0, lambda client: Volumes(client, folder).serve),
            ("certificates", 1.0, lambda client: Certificates(client).serve),
            ("replica", 2.0, lambda _: outside.Replica(self._place).serve),
            ("walls", 0.5, lambda client: walls.Walls(client, self._restore).serve),
        ):
            threading.Thread(target=self._serve, args=(name, interval, made), daemon=True).start()
        while True:
            for running in self._running:
                self._see_to(running)
            self._write_state()
            time.sleep(POLL_SECONDS)

    def _forget_sockets(self) -> None:
        """What is there from a start before would pass for a sign of life."""
        for running in self._running:
            if running.part.ready.startswith(str(self._place.folder)):
                Path(running.part.ready).unlink(missing_ok=True)

    def _see_to(self, running: Running) -> None:
        process, now = running.process, time.monotonic()
        if process is None:
            if now >= running.not_before and self._may_start(running.part):
                self._start(running)
            return
        if process.poll() is not None:
            steady = time.time() - running.since > _STEADY_SECONDS
            running.failures = 0 if steady else running.failures + 1
            running.not_before = now + _BACKOFF_SECONDS[min(running.failures, len(_BACKOFF_SECONDS) - 1)]
            running.last_end = _ending(process.returncode)
            running.restarts += 1
            running.process, running.was_ready = None, False
            _say(f"{running.part.name} {running.last_end}, and is started again")
        elif not running.was_ready:
            running.was_ready = self._is_ready(running.part)
        _limit(self._place.logs / f"{running.part.name}.log")

    def _may_start(self, part: Part) -> bool:
        by_name = {running.part.name: running for running in self._running}
        return all(by_name[name].was_ready for name in part.after)

    def _start(self, running: Running) -> None:
        part = running.part
        try:
            with (self._place.logs / f"{part.name}.log").open("ab") as log:
                running.process = subprocess.Popen(
                    part.command,
                    cwd=part.folder,
                    env=dict(part.env),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            running.since = time.time()
        except OSError as error:
            running.failures += 1
            running.not_before = time.monotonic() + _BACKOFF_SECONDS[-1]
            running.last_end = f"can't be started: {error.strerror or error}"

    def _is_ready(self, part: Part) -> bool:
        if not part.ready:
            return True
        if not part.ready.startswith("/"):
            host, _, port = part.ready.rpartition(":")
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
            except OSError:
                return False
            return True
        if not part.ready.startswith("/readyz"):
            return Path(part.ready).is_socket()
        with self._client() as client:
            try:
                return client.request("GET", part.ready).accepted
            except (OSError, http.client.HTTPException):
                return False

    def _client(self) -> Client:
        return Client(self._place.url, *credentials.administrator(self._place))

    def _serve(self, name: str, interval: float, made: Callable[[Client], Callable[[], None]]) -> None:
        """Do what the cluster asks of us as long as we run, whatever the API server is at."""
        told = ""
        with self._client() as client:
            serve = made(client)
            while True:
                problem = ""
                try:
                    serve()
                except (OSError, http.client.HTTPException):
                    client.close()  # it is not up yet, or starts again; or a file is not there any more
                except (Refused, ValueError) as error:
                    problem = f"{name}: {error}"
                if problem and problem != told:
                    _say(problem)
                told = problem
                time.sleep(interval)

    def _restore(self, rules: str) -> None:
        """Put packet filters in force in the node's network, all of them or none."""
        inside = ("chroot", str(self._place.root))
        for chain, option in (("FORWARD", ()), ("INPUT", ("-i", BRIDGE))):
            known = subprocess.run(
                [*inside, "iptables", "-w", "-t", "mangle", "-C", chain, *option, "-j", walls.CHAIN],
                capture_output=True,
                check=False,
            )
            if known.returncode:
                _iptables(inside, ["iptables", "-w", "-t", "mangle", "-N", walls.CHAIN], fails=True)
                _iptables(inside, ["iptables", "-w", "-t", "mangle", "-A", chain, *option, "-j", walls.CHAIN])
        _iptables(inside, ["iptables-restore", "-w", "--noflush"], rules)

    def _write_state(self) -> None:
        content = json.dumps({"parts": [running.tell() for running in self._running]}, indent=2)
        if content != self._written:
            new = self._place.state.with_suffix(".new")
            new.write_text(content + "\n", encoding="utf-8")
            new.replace(self._place.state)
            self._written = content


def main(folder: Path) -> None:
    """Run a node's supervisor.

    Args:
        folder: the node's.
    """
    record = json.loads((folder / "node.json").read_text(encoding="utf-8"))
    place = Place(folder=folder, network=IPv4Network(record["network"]))
    for made in (place.logs, place.volumes):
        made.mkdir(mode=0o755, exist_ok=True)
    programs = {name: Path(path) for name, path in record["programs"].items()}
    Supervisor(place, programs).run()


def _iptables(inside: Sequence[str], command: Sequence[str], text: str = "", *, fails: bool = False) -> None:
    """Change packet filters; `fails` where what is to be made may be there."""
    done = subprocess.run([*inside, *command], input=text, text=True, capture_output=True, check=False)
    if done.returncode and not fails:
        raise ValueError(f"{' '.join(command)}: {done.stderr.strip()}")


def _await_cable(place: Place) -> None:
    """Wait until the node has its address, which is given to it from outside."""
    deadline = time.monotonic() + CABLE_SECONDS
    while True:
        with contextlib.closing(socket.socket()) as probe:
            try:
                probe.bind((str(place.node), 0))
            except OSError:
                if time.monotonic() > deadline:
                    _say("nobody has given the node its address")
                    sys.exit(1)
            else:
                return
        time.sleep(POLL_SECONDS)


def _limit(log: Path) -> None:
    """Keep a log and its predecessor below a size; who writes to it appends, and need not know."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > LARGEST_LOG:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def _ending(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    main(Path(sys.argv[1]))
