"""Clients of an entrance who ask one after the other until they are told to stop."""

import http.client
import itertools
import threading
from collections.abc import Callable

from tests.artifact import fakes
from tests.artifact.entrance_world import PATIENCE_SECONDS, World


class Callers:
    """So many clients, each on connections of its own that it keeps for as long as it may.

    Args:
        here: the entrance.
        host: whom they ask.
        ask: makes one request on an open connection, given a number that no other has; returns what came of
            it.
        count: how many clients.
    """

    def __init__(
        self, here: World, host: str, ask: Callable[[http.client.HTTPConnection, int], object], *, count: int
    ) -> None:
        self.answers: list[object] = []
        """What came of each request; of one that failed, the error in words."""
        self._ask = ask
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(here, host), daemon=True) for _ in range(count)
        ]

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def more(self, count: int) -> None:
        """Wait for so many more answers."""
        enough = len(self.answers) + count
        fakes.until(lambda: len(self.answers) >= enough, f"{count} more answers")

    def _run(self, here: World, host: str) -> None:
        while not self._over.is_set():
            try:
                with here.connection(host) as connection:
                    # Without a socket: the answer said that the connection ends.
                    while connection.sock is not None and not self._over.is_set():
                        self.answers.append(self._ask(connection, next(self._numbers)))
            except (OSError, http.client.HTTPException) as error:
                self.answers.append(repr(error))
