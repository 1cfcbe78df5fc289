"""Prometheus' own tool, as a judge of rules and queries."""

import os
import sys
from pathlib import Path

import pytest

from simulator import processes
from simulator.faults import MACHINE, Fault
from simulator.images.rootfs import root_filesystem

IMAGES = Path(__file__).with_name("images")


def promtool() -> Path:
    """The program; skips where it can't be had, and only there. It is statically linked: it runs anywhere."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("root filesystems are made as root, on Linux")
    try:
        return root_filesystem("promtool", images=IMAGES) / "usr" / "bin" / "promtool"
    except Fault as fault:
        if fault.exit_code == MACHINE and not str(fault).startswith("mmdebstrap: it failed"):
            pytest.skip(str(fault))
        raise


def judged(*arguments: str | Path) -> tuple[int, str]:
    """Run it: its exit code and what it said."""
    ended = processes.run([promtool(), *map(str, arguments)])
    return ended.code, "\n".join(ended.lines)
