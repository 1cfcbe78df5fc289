"""A node that is taken down, or has crashed, leaves the machine as it was."""

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from ipaddress import IPv4Network
from pathlib import Path

import psutil
import pytest

from simulator.faults import USAGE, Fault
from simulator.node import catalogue, cgroups, machine, node
from simulator.node.place import Place
from tests.artifact.pod import eventually
from tests.cluster.test_node import PATIENCE_SECONDS, place_of, require_node

pytestmark = [pytest.mark.cluster, pytest.mark.node]

MARK = re.compile(r"fixia[0-9a-f]{8}")
SETTINGS = (
    "vm.overcommit_memory",
    "vm.panic_on_oom",
    "kernel.panic",
    "kernel.panic_on_oops",
    "kernel.keys.root_maxkeys",
    "kernel.keys.root_maxbytes",
    "kernel.hostname",
    "net.ipv4.ip_forward",
    "net.netfilter.nf_conntrack_max",
)


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def observed(place: Place) -> dict[str, object]:
    """What there is on this machine that a node could have changed; what has another node's mark is its own."""
    rootfs = catalogue.node_filesystem()

    def ours(found: Iterable[str]) -> list[str]:
        return sorted(one for one in found if set(MARK.findall(one)) <= {place.mark})

    return {
        "mounts": ours(
            line.split(" ", 5)[4]
            for line in Path("/proc/self/mountinfo").read_text().splitlines()
            if "/fixia-" not in line or str(place.folder) in line
        ),
        "links": ours(psutil.net_if_stats()),
        "routes": ours(run("ip", "route", "show", "table", "all").splitlines()),
        "filters": run("chroot", rootfs, "iptables-save").count("\n-A"),
        "groups": ours(
            str(path) for root in cgroups.hierarchies() for path in root.iterdir() if path.is_dir()
        ),
        "settings": {
            name: path.read_text()
            for name in SETTINGS
            if (path := Path("/proc/sys") / name.replace(".", "/")).exists()
        },
    }


def processes_of(place: Place) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(place.folder) in line and process.pid != os.getpid():
            found.append(line)
    return found


@pytest.mark.parametrize("crash", [None, "unshare", "supervisor"], ids=["asked", "holder", "supervisor"])
def test_nothing_of_a_node_is_left(crash: str | None) -> None:
    require_node()
    with place_of("10.215.0.0/16") as place:
        before = observed(place)
        node.up(place)
        assert processes_of(place)
        assert observed(place) != before
        if crash == "unshare":
            holder = machine.running(place)
            assert holder
            os.kill(holder, signal.SIGKILL)
        elif crash:
            (supervisor,) = [
                pid
                for pid in cgroups.members(place.mark)
                if "simulator.node.supervisor" in psutil.Process(pid).cmdline()
                and psutil.Process(pid).name() != "unshare"
                and "sh" not in psutil.Process(pid).name()
            ]
            os.kill(supervisor, signal.SIGKILL)
        if crash:
            eventually(lambda: not machine.running(place), "the node ends", PATIENCE_SECONDS)
            eventually(lambda: not processes_of(place), "its processes end", PATIENCE_SECONDS)

        assert node.down(place)

        assert processes_of(place) == []
        assert machine.remains(place) == []
        assert not place.folder.exists()
        assert observed(place) == before
        assert not node.down(place)


def test_a_node_that_crashed_comes_up_with_what_it_kept() -> None:
    require_node()
    with place_of("10.216.0.0/16") as place:
        node.up(place)
        kept = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kept", "namespace": "default"}}
        with node.client(place) as client:
            assert client.create({**kept, "stringData": {"key": "value"}}).accepted
        holder = machine.running(place)
        assert holder
        os.kill(holder, signal.SIGKILL)
        eventually(lambda: not machine.running(place), "the node ends", PATIENCE_SECONDS)
        assert not node.status(place).running

        node.up(place)

        with node.client(place) as client:
            assert client.get(kept).body["data"] == {"key": "dmFsdWU="}
        assert node.status(place).ready


def test_a_network_that_is_in_use_is_refused(tmp_path: Path) -> None:
    require_node()
    addresses = [a.address for link in psutil.net_if_addrs().values() for a in link if a.family == 2]
    own = next(address for address in addresses if not address.startswith("127."))
    network = f"{own.rpartition('.')[0].rpartition('.')[0]}.0.0/16"
    place = Place(folder=Path("/var/tmp/fixia-refused"), network=IPv4Network(network))
    with pytest.raises(Fault) as caught:
        machine.start(place, tmp_path, {"kubelet": tmp_path / "kubelet"})

    assert own in str(caught.value)
    assert machine.remains(place) == []


def test_a_folder_that_no_node_has_made_is_left_alone() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "letters"
        file.write_text("dear")

        machine.clear(Place(folder=Path(folder)))

        assert file.read_text() == "dear"


@pytest.mark.parametrize("folder", ["relative", "/" + "x" * 80, "/var/with space", "/var/a:b"])
def test_a_folder_that_would_break_a_path_is_refused(folder: str) -> None:
    with pytest.raises(Fault) as caught:
        Place(folder=Path(folder))

    assert caught.value.exit_code == USAGE
