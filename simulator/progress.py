"""What a command is doing, one line a step, with the time since it began.

Standard library only: the bootstrap prints with it before there is a virtual environment. Lines go to
stderr, so that stdout stays free for a command's answer, and are never redrawn: the same text reads well
on a terminal, in a CI log and in a pipe.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

HEARTBEAT_SECONDS: Final = 15.0
"""How long a step may be silent before it says what it is at."""


class Step:
    """One step under way.

    Attributes:
        status: says what is going on now; asked at every heartbeat.
        outcome: the step's last line; set it when there is more to say than "done".
    """

    def __init__(self, status: str) -> None:
        self.status: Callable[[], str] = lambda: status
        self.outcome = "done"


class Progress:
    """The lines of one command.

    Args:
        stream: where they go; stderr unless told.
        heartbeat: seconds between the lines of a long step.
    """

    def __init__(self, stream: TextIO | None = None, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._stream = stream or sys.stderr
        self._heartbeat = heartbeat
        self._began = time.monotonic()

    def say(self, subject: str, text: str) -> None:
        """Print one line.

        Args:
            subject: what it is about, for example `engine`.
            text: what happened or happens.
        """
        elapsed = time.monotonic() - self._began
        # One write a line: two processes may share a terminal.
        self._stream.write(f"  [{elapsed:5.1f}s] {subject}: {text}\n")
        self._stream.flush()

    @contextmanager
    def step(self, subject: str, text: str) -> Iterator[Step]:
        """Print a line when the step begins, one each heartbeat, and one when it has ended.

        Args:
            subject: what it is about.
            text: what the step does.

        Yields:
            The step, whose `status` and `outcome` the body may set.
        """
        self.say(subject, text)
        step = Step(text)
        ended = threading.Event()
        pulse = threading.Thread(target=self._pulse, args=(subject, step, ended), daemon=True)
        pulse.start()
        try:
            yield step
        except KeyboardInterrupt:
            step.outcome = "interrupted"
            raise
        except BaseException:
            step.outcome = "failed"
            raise
        finally:
            ended.set()
            pulse.join()
            self.say(subject, step.outcome)

    def _pulse(self, subject: str, step: Step, ended: threading.Event) -> None:
        while not ended.wait(self._heartbeat):
            self.say(subject, step.status())
