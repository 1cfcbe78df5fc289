"""A node as this machine sees it: namespaces of their own, one cable, control groups, and a folder.

Whatever a node does inside its namespaces ends with its first process, which the kernel sees to. What is
outside is found by the node's mark and folder, not by what was written down: so after a crash, too.
"""

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import psutil

from simulator import cache, disk, processes
from simulator.faults import Fault
from simulator.node import cgroups
from simulator.node.parts import BIN, entering
from simulator.node.place import NAME, NETWORK_SETTING, Place

PATIENCE_SECONDS: Final = 30.0
ROOM_BYTES: Final = 4 * 10**9
NEED: Final = "4 GB free for the node's images, volumes and logs"

_INIT: Final = Path(__file__).with_name("init.sh")
_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_POLL_SECONDS: Final = 0.05
_MOUNTS: Final = Path("/proc/self/mountinfo")
NAMESPACES: Final = ("--mount", "--pid", "--net", "--uts", "--ipc")
_TOOLS: Final = ("unshare", "nsenter", "setpriv", "chroot", "mount", "ip")

# Who joins the control groups is who becomes `unshare`, so that nothing of the node is ever outside of them.
_JOIN: Final = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'


def require() -> None:
    """Refuse a machine that can't carry a node.

    Raises:
        Fault: it says what else would do.
    """
    found = ""
    if sys.platform != "linux":
        found = f"this machine runs {sys.platform}"
    elif os.geteuid() != 0:
        found = "this user is not root"
    elif missing := [tool for tool in _TOOLS if not shutil.which(tool)]:
        found = f"this machine lacks {', '.join(missing)}"
    if found:
        raise Fault(
            where="a Kubernetes node on this machine",
            found=found,
            valid="Linux, as root, with util-linux and iproute2",
            do="run it with sudo; or name any other cluster, such as one of kind or k3d, by KUBECONFIG",
        )


def running(place: Place) -> int | None:
    """Return the number of the process that holds a node's namespaces, if the node runs.

    Args:
        place: the node's.
    """
    members = cgroups.members(place.mark)
    for pid in members:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            holds = process.name() == "unshare" and str(place.folder) in process.cmdline()
            if (
                holds and process.ppid() not in members
            ):  # no child of it that has yet to become another program
                return pid
    return None


def first_process(place: Place) -> int | None:
    """Return the number that a node's first process has on this machine.

    Args:
        place: the node's.
    """
    holder = running(place)
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(holder).children() if holder else []
        return children[0].pid if children else None
    return None


def start(place: Place, rootfs: Path, programs: Mapping[str, Path]) -> None:
    """Start a node's first process, in a folder that may be that of a node which ended.

    Args:
        place: the node's.
        rootfs: its root filesystem.
        programs: where each program is.

    Raises:
        Fault: this machine does not let us.
    """
    _require_free(place)
    with disk.faults(place.folder, need=NEED, do=", or name another folder: FIXIA_NODE=/path"):
        place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk.require(place.folder, ROOM_BYTES, need=NEED, do=", or name another folder: FIXIA_NODE=/path")
        for folder in (place.root, place.logs):
            folder.mkdir(exist_ok=True)
        record = {
            "network": str(place.network),
            "programs": {name: str(path) for name, path in programs.items()},
        }
        place.record.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        place.state.unlink(missing_ok=True)
        _launch(place, rootfs, programs["kubelet"].parent)
    try:
        _plug_in(place)
    except BaseException:
        end(place)
        raise


def execute(
    place: Place, command: Sequence[str], *, stdin: IO[bytes] | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program inside a node, with its root filesystem and its network.

    Args:
        place: the node's.
        command: the program and its arguments.
        stdin: what it reads.
        timeout: seconds after which it is ended.

    Returns:
        Its exit code and what it said.

    Raises:
        Fault: the node does not run.
    """
    first = first_process(place)
    if first is None:
        raise Fault(
            where=str(place.folder),
            found="no node runs there",
            valid="a node that runs",
            do="bring it up: python -m simulator node up",
        )
    enter = ["nsenter", f"--target={first}", *NAMESPACES, "--", *entering(place), *command]
    return subprocess.run(
        enter,
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env={"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"},
    )


def end(place: Place) -> list[str]:
    """End a node's processes, and with them its mounts, links and packet filters; remove its control groups.

    Args:
        place: the node's.

    Returns:
        What could not be ended or removed.
    """
    first = first_process(place)
    if first:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)  # and the kernel ends all the others, pods too
    left = [str(branch) for branch in cgroups.remove(place.mark)]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (plugged := place.mark in psutil.net_if_stats()) and time.monotonic() < deadline:
        subprocess.run(["ip", "link", "delete", place.mark], capture_output=True, check=False)
        time.sleep(_POLL_SECONDS)
    return left + ([f"link {place.mark}"] if plugged else [])


def clear(place: Place) -> list[str]:
    """Remove a folder that was a node's.

    Args:
        place: the node's; it does not run.

    Returns:
        What could not be removed.
    """
    for target in reversed(_mounted(place)):
        processes.run(["umount", "--lazy", target])
    if mounted := _mounted(place):
        return [f"mount {target}" for target in mounted]
    # Never a folder that no node has made: the setting may name anything.
    if place.record.exists():
        place.record.replace(place.folder / "node.gone")
    if (place.folder / "node.gone").exists():
        shutil.rmtree(place.folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        place.folder.rmdir()
    return [str(place.folder)] if place.folder.exists() else []


def remains(place: Place) -> list[str]:
    """Return what there is of a node outside of its namespaces.

    Args:
        place: the node's.
    """
    found = [f"process {pid}" for pid in sorted(cgroups.members(place.mark))]
    found += [str(branch) for branch in cgroups.present(place.mark)]
    found += [f"link {place.mark}"] if place.mark in psutil.net_if_stats() else []
    found += [f"mount {target}" for target in _mounted(place)]
    return found + ([str(place.folder)] if place.record.exists() else [])


def _launch(place: Place, rootfs: Path, programs: Path) -> None:
    """Start the first process, apart from the terminal and from whatever started us."""
    cgroups.make(place.mark)
    groups = [str(branch / cgroups.SYSTEM) for branch in cgroups.present(place.mark)]
    supervisor = [sys.executable, "-P", "-m", "simulator.node.supervisor", str(place.folder)]
    init = ["sh", str(_INIT), str(rootfs), str(programs), str(place.folder), NAME, "--", *supervisor]
    unshare = ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", *init]
    path = os.environ.get("PATH", os.defpath)
    env = {"PATH": path, "PYTHONPATH": str(_REPOSITORY), "LC_ALL": "C.UTF-8"}
    with (place.logs / "node.log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-euc", _JOIN, "node", *groups, "--", *unshare],
            cwd="/",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while first_process(place) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise fault(place, "its first process ended at once")
        time.sleep(_POLL_SECONDS)


def _plug_in(place: Place) -> None:
    """Lay the cable between this machine and the node; it goes when either end does."""
    first = first_process(place)
    if first is None:
        raise fault(place, "its first process has ended")
    mark, prefix = place.mark, place.network.prefixlen
    inside = ["nsenter", f"--target={first}", "--net", "--"]
    for command in (
        ["ip", "link", "add", mark, "type", "veth", "peer", "name", "eth0", "netns", str(first)],
        ["ip", "address", "add", f"{place.machine}/30", "dev", mark],
        ["ip", "link", "set", mark, "up"],
        [*inside, "ip", "address", "add", f"{place.node}/30", "dev", "eth0"],
        [*inside, "ip", "link", "set", "eth0", "up"],
        # For the parts that look for the node's address by it; this machine hands nothing on.
        [*inside, "ip", "route", "add", "default", "via", str(place.machine)],
        # To the pods and Services, from this machine alone.
        ["ip", "route", "add", f"{place.network.network_address}/{prefix}", "via", str(place.node)],
    ):
        ended = processes.run(command)
        if ended.code:
            raise fault(place, f"`{' '.join(command)}` failed:\n{ended.tail()}")


def taken(place: Place) -> list[str]:
    """Return by what this machine reaches somebody else in a node's network; nothing if it is free.

    Args:
        place: the node's; it does not run.
    """
    found = []
    for link, addresses in psutil.net_if_addrs().items():
        for address in addresses:
            with contextlib.suppress(ValueError):
                if ipaddress.ip_address(address.address) in place.network:
                    found.append(f"{link} has {address.address}")
    for line in processes.run(["ip", "-4", "route", "show"]).lines:
        target = line.split()[0] if line.split() else ""
        with contextlib.suppress(ValueError):
            if target != "default" and ipaddress.ip_network(target).overlaps(place.network):
                found.append(f"a route to {target}")
    return sorted(set(found))


def _require_free(place: Place) -> None:
    if found := taken(place):
        raise Fault(
            where=f"the node's network {place.network}",
            found=f"this machine uses it: {'; '.join(found)}",
            valid="a private network that nothing else here uses",
            do=f"name another: {NETWORK_SETTING}=10.214.0.0/16",
        )


def _mounted(place: Place) -> list[str]:
    """What is mounted below a node's folder where we see it: nothing, unless somebody went in to look."""
    prefix = f"{place.folder}/"
    targets = [line.split(" ")[4] for line in _MOUNTS.read_text(encoding="utf-8").splitlines()]
    return [target for target in targets if target.startswith(prefix)]


def fault(place: Place, problem: str) -> Fault:
    """Return the fault of a node that does not come up, with its last words.

    Args:
        place: the node's.
        problem: what is wrong.
    """
    said = ""
    with contextlib.suppress(OSError):
        said = (place.logs / "node.log").read_text(encoding="utf-8", errors="replace")
    words = processes.Ended(code=1, lines=tuple(said.splitlines())).tail(12)
    return Fault(
        where=f"the node in {place.folder}",
        found=f"{problem}; its last words:\n{words}",
        valid="a machine that lets us make namespaces, control groups and links, with 3 GB of memory free",
        do=f"look into {place.logs}; in a container, start that with --privileged",
    )


def lock(place: Place) -> Path:
    """Return the file that whoever changes a node holds; it is not in the node's folder, which goes.

    Args:
        place: the node's.
    """
    folder = cache.root() / "kubernetes-node"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{place.mark}.lock"
