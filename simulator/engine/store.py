"""The old place of `simulator.golang.store.scratch`."""

from simulator.golang.store import scratch

__all__ = ["scratch"]
