"""The real node exporter as its pod runs it: what it tells, without anything of the machine but /proc and /sys."""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.base import Identity
from components.monitoring import node_alerts
from components.monitoring.deployed import CONFIG_MAP, Deployed, DeployedArgs
from components.monitoring.node_exporter import COLLECTORS, NodeExporter, NodeExporterArgs
from components.pods import Resources
from tests.artifact.pod import RecordedPod, eventually, free_port
from tests.artifact.test_alert_metrics import RUN, scraped, unseen
from tests.recorder import record

PROGRAM = "prometheus-node-exporter"
LEVELS = {
    "min-replicas": {"exemptions": [{"expires": "2026-06-30"}, {"expires": "2025-12-31"}]},
    "allowed-registries": {"registries": ["a"]},
    "pdb-per-workload": "advisory",
}
DEPLOYED = DeployedArgs(
    identity=Identity(product="fixia", environment="test", owner="o", cost_centre="c"),
    namespace="fixia-monitoring",
    stack="staging",
    version="1.0.0, 2",
    commit="abc",
    author='Ada "the first" L\\o',
    levels=LEVELS,
)
REFUSED_HERE = {"pressure", "timex"}
"""Kernels without pressure stall information, and sandboxes without adjtimex, tell nothing of these."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What it answers to a scrape."""
    port = free_port()
    args = NodeExporterArgs(
        identity=Identity(product="fixia", environment="test", owner="o", cost_centre="c"),
        namespace="fixia-monitoring",
        image="node-exporter",
        facts=CONFIG_MAP,
        resources=Resources(cpu="10m", memory="32Mi", memory_limit="64Mi"),
        port=port,
    )
    recording = record(
        lambda: Deployed("deployed", DEPLOYED) and NodeExporter("node-exporter", args) and None
    )
    daemon_set = recording.one("kubernetes:apps/v1:DaemonSet", "node-exporter-daemon-set").inputs
    pod = RecordedPod(
        tmp_path_factory.mktemp("node-exporter"), recording, daemon_set["spec"]["template"]["spec"]
    )
    container = pod.containers["node-exporter"]
    container["args"] = [word.replace("address=:", "address=127.0.0.1:") for word in container["args"]]
    # A container's runtime mounts it, read-only, into every one that is not privileged.
    pod.volumes["sys"] = Path("/sys")
    container["volumeMounts"].append({"name": "sys", "mountPath": "/sys", "readOnly": True})
    with pod.run("node-exporter", command=[PROGRAM]) as running:

        def answer() -> str | None:
            assert running.poll() is None, pod.log("node-exporter")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answered:
                    return str(answered.read().decode())
            except OSError:
                return None

        yield eventually(answer, "the exporter answers")


def test_it_tells_what_the_platform_says_of_itself(told: str) -> None:
    said = r'platform_deploy_info{author="Ada \"the first\" L\\o",commit="abc",stack="staging",version="1.0.0, 2"} 1'
    assert said in told
    assert 'platform_policy_exemptions{policy="min-replicas"} 2' in told
    assert 'platform_policy_exemption_ends_seconds{policy="min-replicas"} 1.7672256e+09' in told
    assert 'platform_policy_lowered{level="advisory",policy="pdb-per-workload"} 1' in told
    assert "node_textfile_scrape_error 0" in told
    assert unseen(RUN["the platform's own facts"], scraped(told)) == []


def collectors(text: str) -> dict[str, bool]:
    found = re.findall(r'^node_scrape_collector_success\{collector="(\w+)"\} (\d)', text, re.MULTILINE)
    return {name: value == "1" for name, value in found}


def test_it_runs_the_collectors_that_were_chosen_and_no_other(told: str) -> None:
    assert set(collectors(told)) == set(COLLECTORS)


def test_they_tell_what_the_kernel_tells_without_a_right(told: str) -> None:
    failed = {name for name, succeeded in collectors(told).items() if not succeeded}
    assert failed <= REFUSED_HERE


@pytest.mark.parametrize(
    ("collector", "metric"),
    [
        ("cpu", "node_cpu_seconds_total"),
        ("diskstats", "node_disk_io_time_seconds_total"),
        ("filefd", "node_filefd_allocated"),
        ("loadavg", "node_load1"),
        ("meminfo", "node_memory_MemAvailable_bytes"),
        ("pressure", "node_pressure_cpu_waiting_seconds_total"),
        ("stat", "node_boot_time_seconds"),
        ("time", "node_time_seconds"),
        ("timex", "node_timex_sync_status"),
        ("uname", "node_uname_info"),
        ("vmstat", "node_vmstat_oom_kill"),
    ],
)
def test_each_tells_what_it_is_there_for(told: str, collector: str, metric: str) -> None:
    if collector in REFUSED_HERE and not collectors(told)[collector]:
        pytest.skip(f"this machine tells a container nothing of {collector}")
    if collector == "diskstats" and not Path("/proc/diskstats").read_text().strip():
        pytest.skip("this machine shows no disk")
    assert re.search(rf"^{metric}(\{{.*\}})? ", told, re.MULTILINE)


def test_it_tells_nothing_that_is_the_pods_own(told: str) -> None:
    for prefix in ("node_filesystem", "node_network", "node_netstat", "node_sockstat"):
        assert not re.search(rf"^{prefix}_", told, re.MULTILINE)


def test_every_metric_that_an_alert_asks_for_is_told(told: str) -> None:
    asked = {
        name
        for alert in node_alerts.ALERTS
        for name in re.findall(r"\bnode_[a-z]\w+", alert.expression)
        if not name.endswith("_")
    }
    assert len(asked) > 5
    refused = [name for name in REFUSED_HERE if not collectors(told)[name]]
    there = set(re.findall(r"^(node_\w+)", told, re.MULTILINE))
    missing = {name for name in asked - there if name.split("_")[1] not in refused}
    if not Path("/proc/diskstats").read_text().strip():
        missing = {name for name in missing if not name.startswith("node_disk_")}
    assert missing == set()
