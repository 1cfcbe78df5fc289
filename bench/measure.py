"""How a command is measured: its seconds, and the most memory that it and its children held at once."""

import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log

import psutil

SAMPLE_SECONDS = 0.1


@dataclass
class Peak:
    """The most memory held at once by this process's descendants, in MiB.

    Resident sizes are added up, so pages that two processes share count twice: an upper bound.
    """

    mib: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Peak":
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        this = psutil.Process()
        while not self._over.wait(SAMPLE_SECONDS):
            held = 0
            for child in this.children(recursive=True):
                try:
                    held += child.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.mib = max(self.mib, held / 2**20)


def seconds(run: Callable[[], object]) -> float:
    """How long one run took."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def side_by_side(runs: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """The median seconds of each, measured in turns so that a busy minute slows all alike.

    Args:
        runs: what to run, by name.
        rounds: how many turns; the median of an odd number is a real measurement.
    """
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name, run in runs.items():
            taken[name].append(seconds(run))
            say(f"{name}, turn {turn + 1} of {rounds}: {taken[name][-1]:.2f} s")
    return {name: statistics.median(values) for name, values in taken.items()}


def exponent(points: Mapping[int, float]) -> float:
    """The k in `seconds = c * n^k`, by least squares on the logarithms; 1 is linear."""
    xs, ys = [log(n) for n in points], [log(max(s, 1e-3)) for s in points.values()]
    return statistics.linear_regression(xs, ys).slope


def say(text: str) -> None:
    """Tells what is going on; standard output is kept for the result."""
    print(f"  bench: {text}", file=sys.stderr, flush=True)
