"""Serve one simulated provider: `python -m simulator.providers <name>`.

The engine starts this as a resource plugin, reads the port from the first line of standard output, and ends
it with a signal.
"""

import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

from simulator.providers.core import Provider
from simulator.providers.server import await_end, serve
from simulator.providers.store import Store

STATE: Final = "FIXIA_SIMULATOR_STATE"
"""The environment variable that names the folder in which the simulated cloud keeps its records."""
FAIL: Final = "FIXIA_SIMULATOR_FAIL"
"""The environment variable that names, by commas, the resources that fail when created or changed.

What a real provider would wait for, such as a Job or a Deployment, is accepted and never gets ready."""
PROVIDERS: Final = {
    "aws": "Aws",
    "cloudflare": "Cloudflare",
    "kubernetes": "Kubernetes",
    "random": "Random",
    "tls": "Tls",
}


def load(name: str) -> Provider:
    """The provider of a name, over the store that the environment names."""
    folder = os.environ.get(STATE)
    module = importlib.import_module(f"simulator.providers.{name}")
    failing = frozenset(filter(None, os.environ.get(FAIL, "").split(",")))
    provider: Provider = getattr(module, PROVIDERS[name])(Store(Path(folder) if folder else None), failing)
    return provider


def main() -> int:
    """Run until a signal comes.

    Returns:
        The exit code for a wrong call; otherwise a signal ends the process.
    """
    # Taken by this thread alone, when it asks: one that reached a thread of gRPC's might not wake this one.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    if len(sys.argv) < 2 or sys.argv[1] not in PROVIDERS:
        sys.stderr.write(f"usage: python -m simulator.providers {{{','.join(sorted(PROVIDERS))}}}\n")
        return 2
    server, port = serve(load(sys.argv[1]))
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await_end(ends)
    # At once and without clean-up: an engine that has to wait for a plugin waits for seconds and complains.
    server.stop(None)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
