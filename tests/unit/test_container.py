"""What a container's end makes of processes that end by themselves meanwhile."""

import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from simulator.images.container import Container


@pytest.fixture
def ended() -> psutil.Process:
    """A process that has ended since it was seen."""
    with subprocess.Popen(["sleep", "60"]) as process:
        seen = psutil.Process(process.pid)
        process.kill()
        process.wait()
        return seen


@pytest.fixture
def running() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def container(
    running: subprocess.Popen[bytes], children: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> Container:
    made = Container(running, user=10001, env={})
    monkeypatch.setattr(made, "_children", lambda: children)
    monkeypatch.setattr(Container, "pid", property(lambda _: 2**22 + 1))  # of nobody
    return made


def test_a_child_that_has_ended_is_no_reason_to_stop_ending_the_others(
    running: subprocess.Popen[bytes], ended: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = container(running, [ended, psutil.Process(running.pid)], monkeypatch)
    made.end(grace=0.01)
    assert made.poll() == -signal.SIGKILL


def test_a_signal_to_a_program_that_has_ended_does_nothing(
    running: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = container(running, [], monkeypatch)
    made.send_signal(signal.SIGTERM)
    assert made.poll() is None

    def gone(_: Container) -> int:
        raise psutil.NoSuchProcess(1)

    monkeypatch.setattr(Container, "pid", property(gone))
    made.send_signal(signal.SIGTERM)
    assert made.poll() is None
