import io
import re
import threading

import pytest

from simulator.progress import Progress


def lines(stream: io.StringIO) -> list[str]:
    return [re.sub(r"^  \[ *\d+\.\ds\] ", "", line) for line in stream.getvalue().splitlines()]


def test_a_line_has_the_time_and_the_subject() -> None:
    stream = io.StringIO()

    Progress(stream).say("engine", "hello")

    assert re.fullmatch(r"  \[  0\.\ds\] engine: hello\n", stream.getvalue())


def test_a_step_says_that_it_begins_and_how_it_ended() -> None:
    stream = io.StringIO()

    with Progress(stream).step("engine", "working") as step:
        step.outcome = "worked"

    assert lines(stream) == ["engine: working", "engine: worked"]


@pytest.mark.parametrize(("error", "last"), [(ValueError, "failed"), (KeyboardInterrupt, "interrupted")])
def test_a_step_says_that_it_did_not_end_well(error: type[BaseException], last: str) -> None:
    stream = io.StringIO()

    with pytest.raises(error), Progress(stream).step("engine", "working"):
        raise error

    assert lines(stream) == ["engine: working", f"engine: {last}"]


def test_a_long_step_says_what_it_is_at() -> None:
    stream = io.StringIO()
    asked_twice = threading.Event()
    counts = iter(range(1, 1000))

    def status() -> str:
        count = next(counts)
        if count == 3:
            asked_twice.set()
        return f"{count} packages"

    with Progress(stream, heartbeat=0.01).step("engine", "building") as step:
        step.status = status
        assert asked_twice.wait(30)

    said = lines(stream)
    assert said[0] == "engine: building"
    assert [line for line in said if "packages" in line][:2] == ["engine: 1 packages", "engine: 2 packages"]
    assert said[-1] == "engine: done"
