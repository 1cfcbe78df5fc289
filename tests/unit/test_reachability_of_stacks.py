"""Who reaches whom in each stack: exactly what its settings declare, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from simulator.reachability.matrix import EXTERNAL, Cluster, Flow
from simulator.reachability.page import page
from simulator.reachability.parties import External
from tests.recorder import STACKS, Recording, record_program, stack_config
from tests.reference import generated, kubernetes_objects


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the platform as its network sees it.

    Attributes:
        pods: who calls, as `<namespace>/<kind>/<name>`; empty if it only listens.
        listens: what its callers reach: who, protocol and port.
        calls: the parts that it calls.
    """

    pods: str = ""
    listens: Sequence[tuple[str, str, int]] = ()
    calls: Sequence[str] = ()


PARTS: Final[Mapping[str, Part]] = {
    "dns": Part(
        listens=[("kube-system/deployment/kube-dns", protocol, 53) for protocol in ("UDP", "TCP")],
    ),
    "internet": Part(
        listens=[(party, "TCP", 443) for party in ("internet", "internet, IPv6", "Cloudflare")],
    ),
    "api-server": Part(listens=[("API server", "TCP", 6443)]),
    "database": Part(
        pods="fixia-data/statefulset/database",
        listens=[("fixia-data/statefulset/database", "TCP", 5432)],
        # Its log goes to the backups' storage, whose addresses are the internet's.
        calls=["dns", "internet"],
    ),
    "backup-server": Part(listens=[("fixia-data/statefulset/database", "TCP", 8432)]),
    **{
        job: Part(pods=f"fixia-{namespace}/cronjob/backups-{job}", calls=[*callees, "dns", "internet"])
        for job, (namespace, *callees) in {
            "backup": ("data", "database", "backup-server"),
            "freshness": ("data", "database", "backup-server"),
            "snapshot": ("data", "database", "backup-server"),
            "dump": ("data", "database"),
            "restore-table": ("data", "database"),
            # Copies are restored where nothing of the platform's is in reach.
            "restore-test": ("restore",),
            "drill": ("restore",),
            "scratch": ("restore",),
        }.items()
    },
    "backups-monitor": Part(pods="fixia-data/deployment/backups-monitor", calls=["dns", "internet"]),
    "pool": Part(
        pods="fixia-data/deployment/pool",
        listens=[("fixia-data/deployment/pool", "TCP", 6432)],
        calls=["database", "dns"],
    ),
    "vacuum": Part(pods="fixia-data/cronjob/maintenance-vacuum", calls=["database", "dns"]),
    "reindex": Part(pods="fixia-data/cronjob/maintenance-reindex", calls=["database", "dns"]),
    "report": Part(pods="fixia-data/cronjob/maintenance-report", calls=["database", "dns"]),
    "cache": Part(
        pods="fixia-data/statefulset/cache",
        listens=[("fixia-data/statefulset/cache", "TCP", 6379)],
        calls=["dns"],
    ),
}
"""What the settings have no workload for; a new component of the platform is a line here."""

PROMETHEUS: Final = "fixia-monitoring/statefulset/prometheus"
KUBE_STATE_METRICS: Final = "fixia-monitoring/deployment/kube-state-metrics"
ALERTMANAGER: Final = "fixia-monitoring/statefulset/alertmanager"
GRAFANA: Final = "fixia-monitoring/deployment/grafana"
BLACKBOX: Final = "fixia-monitoring/deployment/blackbox"
LOGS: Final = "fixia-monitoring/statefulset/logs"
TRACES: Final = "fixia-monitoring/statefulset/traces"
COLLECTOR: Final = "fixia-collector/daemonset/collector"

SCRAPED: Final = (
    *(("fixia-data/deployment/backups-monitor", 9188), ("fixia-data/deployment/pool", 9127)),
    *(("fixia-data/statefulset/cache", 9121), ("fixia-data/statefulset/database", 9187)),
    *(("fixia-ingress/deployment/entrance", 9100), ("fixia-monitoring/daemonset/node-exporter", 9100)),
    *((GRAFANA, 3000), (KUBE_STATE_METRICS, 8080), (KUBE_STATE_METRICS, 8081)),
    *((ALERTMANAGER, 9093), (PROMETHEUS, 9090)),
    *((LOGS, 3101), (COLLECTOR, 8888), (COLLECTOR, 8889)),
)
"""Whom Prometheus asks beside the workloads, and on which port."""
MEASURED: Final = 9464
"""Where each workload tells its metrics."""

WATCHERS: Final[Mapping[str, Part]] = {
    "alertmanager": Part(
        pods=ALERTMANAGER,
        listens=[(ALERTMANAGER, "TCP", 9093)],
        calls=["dns", "internet"],
    ),
    "prometheus": Part(
        pods=PROMETHEUS, listens=[(PROMETHEUS, "TCP", 9090)], calls=["dns", "api-server", "scraped"]
    ),
    "grafana": Part(
        pods=GRAFANA,
        listens=[(GRAFANA, "TCP", 3000)],
        calls=["dns", "prometheus", "alertmanager", "logs"],
    ),
    "logs": Part(pods=LOGS, listens=[(LOGS, "TCP", 3100)], calls=["dns"]),
    "collector": Part(pods=COLLECTOR, calls=["dns", "logs"]),
    "kube-state-metrics": Part(pods=KUBE_STATE_METRICS, calls=["dns", "api-server"]),
    "node-exporter": Part(pods="fixia-monitoring/daemonset/node-exporter", calls=["dns"]),
    "gossip": Part(listens=[(ALERTMANAGER, "TCP", 9094)]),
}
"""What watches."""

ENTRANCE: Final = "fixia-ingress/deployment/entrance"
IN_FRONT: Final = "Cloudflare"
OUTSIDE: Final = (*EXTERNAL, External(name=IN_FRONT, address="173.245.48.1", port=443))
"""The sample addresses, and one of the proxies that stand in front of the entrance."""


def declared(config: Mapping[str, str]) -> set[Flow]:
    """Every connection that a stack's configuration and the table above declare."""
    product = json.loads(config["fixia:stack"])["product"]
    workloads = json.loads(config["fixia:workloads"])
    parts = {**{name: _part(name, workload, product) for name, workload in workloads.items()}, **PARTS}
    outside = json.loads(config["fixia:backup"]).get("external")
    if outside and "replica" not in outside:
        del parts["drill"]  # it reads the copy
    release = json.loads(config["fixia:release"])["workload"]
    # The new version calls whom it calls, and nobody calls it. Migrations alone go to the database itself.
    parts["smoke"] = replace(parts[release], pods=f"{product}-app/job/release-smoke-job", listens=[])
    parts["release-snapshot"] = replace(parts["snapshot"], pods=f"{product}-data/job/release-snapshot-job")
    parts["migrate"] = Part(pods=f"{product}-app/job/release-migrate-job", calls=["database", "dns"])
    public = [name for name, workload in workloads.items() if workload.get("public")]
    if "fixia:monitoring" in config:
        parts |= _watching(json.loads(config["fixia:monitoring"]), parts, workloads)
        public += [page for page in ("grafana", "status") if page in parts]
    parts["entrance"] = Part(pods=ENTRANCE, calls=[*public, "api-server", "dns"])
    ranges = json.loads(config["fixia:entrance"]).get("trustedRanges", ["cloudflare"])
    # With nobody in front, everybody is let in: a block of all addresses holds the pods' too.
    everybody = [*(party.name for party in OUTSIDE), "kube-system/deployment/kube-dns"]
    callers = [IN_FRONT] if ranges else everybody
    let_in = {Flow(caller, ENTRANCE, "TCP", port) for caller in callers for port in (8000, 8443)}
    return let_in | {
        Flow(part.pods, *listening)
        for part in parts.values()
        if part.pods
        for callee in part.calls
        for listening in parts[callee].listens
    }


def _watching(
    section: Mapping[str, Any], parts: Mapping[str, Part], workloads: Mapping[str, Any]
) -> dict[str, Part]:
    """What watches, and whom it asks: every workload too."""
    watchers = dict(WATCHERS)
    asked = [*SCRAPED, *((parts[name].pods, MEASURED) for name in workloads)]
    if "status" in section:
        listens = [("fixia-monitoring/deployment/status", "TCP", 8080)]
        watchers["status"] = Part(pods=listens[0][0], listens=listens, calls=["dns", "prometheus"])
    if "blackbox" in section:
        watchers["blackbox"] = Part(pods=BLACKBOX, calls=["dns", "internet"])
        asked.append((BLACKBOX, 9115))
    if "traces" in section:
        asks, sends = watchers["grafana"], watchers["collector"]
        watchers["traces"] = Part(pods=TRACES, listens=[(TRACES, "TCP", 4318)], calls=["dns"])
        watchers["traces-asked"] = Part(listens=[(TRACES, "TCP", 16686)])
        watchers["grafana"] = replace(asks, calls=[*asks.calls, "traces-asked"])
        taken = [(COLLECTOR, "TCP", 4318)]
        watchers["collector"] = replace(sends, listens=taken, calls=[*sends.calls, "traces"])
        asked.append((TRACES, 8888))
    if section["alertmanager"].get("replicas") == 2:
        told = watchers["alertmanager"]
        watchers["alertmanager"] = replace(told, calls=[*told.calls, "gossip"])
    watchers["scraped"] = Part(listens=[(pods, "TCP", port) for pods, port in asked])
    return watchers


def _part(name: str, workload: Mapping[str, Any], product: str) -> Part:
    pods = f"{product}-{workload.get('namespace', 'app')}/deployment/{name}"
    return Part(
        pods=pods,
        listens=[(pods, "TCP", workload["port"])],
        calls=[*workload.get("talksTo", ()), "dns"],
    )


def cluster(recording: Recording) -> Cluster:
    return Cluster.read(kubernetes_objects(recording), external=OUTSIDE)


@pytest.mark.parametrize("stack", STACKS)
def test_only_what_is_declared_gets_through(stack: str, recordings: dict[str, Recording]) -> None:
    assert cluster(recordings[stack]).flows() == declared(stack_config(stack))


def test_only_what_is_declared_gets_through_between_workloads() -> None:
    """No stack has to have workloads that call each other, so here are some.

    All listen on one port, and two pairs share a namespace: a policy wider than its pair would mix them up.
    """
    config = stack_config("staging")
    api = json.loads(config["fixia:workloads"])["api"]
    platform = json.loads(config["fixia:platform"])
    for name in ("app", "data"):
        platform["namespaces"][name]["quota"] = {"cpu": "20", "memory": "40Gi", "pods": 99}
    api |= {"public": None, "autoscaling": {**api["autoscaling"], "max": 1}}
    workloads = {
        "api": {**api, "talksTo": ["store", "internet"]},
        "realtime": {**api, "talksTo": ["api"]},
        "store": {**api, "namespace": "data", "talksTo": []},
        "front": {**api, "talksTo": ["back", "archive"]},
        "back": {**api, "talksTo": []},
        "archive": {**api, "namespace": "data", "talksTo": []},
    }
    config |= {"fixia:workloads": json.dumps(workloads), "fixia:platform": json.dumps(platform)}
    # None of these is public.
    watching = {key: one for key, one in json.loads(config["fixia:monitoring"]).items() if key != "status"}
    config["fixia:monitoring"] = json.dumps(watching)
    flows = cluster(record_program(config, "staging")).flows()
    assert flows == declared(config)
    assert Flow("fixia-app/deployment/api", "fixia-data/deployment/store", "TCP", api["port"]) in flows
    assert Flow("fixia-app/deployment/front", "fixia-app/deployment/api", "TCP", api["port"]) not in flows


def test_every_pod_is_isolated_in_both_directions(recording: Recording) -> None:
    made = cluster(recording)
    assert made.pods
    assert made.open("Ingress") == made.open("Egress") == []
    assert made.undecided == ()


def test_no_pod_reaches_credentials_or_anything_private(recording: Recording) -> None:
    names = {"cloud metadata", "cloud metadata, IPv6", "private network", "API server"}
    assert names <= {party.name for party in EXTERNAL}
    reached = {flow for flow in cluster(recording).flows() if flow.destination in names}
    # The entrance watches the Ingress objects, Prometheus finds whom it asks, and one tells of all objects;
    # nobody else has any business with the API server.
    assert {flow.source for flow in reached} == {ENTRANCE, PROMETHEUS, KUBE_STATE_METRICS}
    assert {flow.port for flow in reached} == {6443}


@pytest.mark.parametrize(
    "address",
    [
        "10.20.30.40",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.170.2",
        "172.31.255.254",
        "192.168.1.1",
        "fe80::1",
        "fd00::1",
    ],
)
def test_no_pod_reaches_a_private_address_on_the_internets_port(address: str, recording: Recording) -> None:
    there = (External(name="there", address=address, port=443),)
    flows = Cluster.read(kubernetes_objects(recording), external=there).flows()
    assert "there" not in {flow.destination for flow in flows}


def test_the_entrance_is_all_that_is_reached_from_outside(recording: Recording) -> None:
    outside = {party.name for party in OUTSIDE}
    reached = {flow.destination for flow in cluster(recording).flows() if flow.source in outside}
    assert reached == {ENTRANCE}


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_nobody_comes_in_around_the_proxies(stack: str, recordings: dict[str, Recording]) -> None:
    callers = {flow.source for flow in cluster(recordings[stack]).flows() if flow.destination == ENTRANCE}
    assert callers == {IN_FRONT, PROMETHEUS}


def test_without_its_policies_the_program_would_be_open(recording: Recording) -> None:
    objects = [thing for thing in kubernetes_objects(recording) if thing["kind"] != "NetworkPolicy"]
    flows = Cluster.read(objects).flows()
    assert {"cloud metadata", "private network", "API server"} <= {flow.destination for flow in flows}
    assert "internet" in {flow.source for flow in flows}


def test_the_page_is_current(recordings: dict[str, Recording]) -> None:
    for path, text in generated(recordings).items():
        assert path.read_text() == text, f"{path} is out of date: run `make docs`"


def test_the_page_marks_what_only_some_stacks_have() -> None:
    api = json.loads(stack_config("staging")["fixia:workloads"])["api"]
    alone = {**api, "talksTo": ["internet"], "public": None}
    config = stack_config("staging") | {"fixia:workloads": json.dumps({"api": alone})}
    for section in ("release", "cache", "database", "backup", "edge", "entrance", "monitoring"):
        del config[f"fixia:{section}"]
    objects = kubernetes_objects(record_program(config, "staging"))
    lax = [thing for thing in objects if thing["kind"] != "NetworkPolicy"]
    text = page(
        {"strict": Cluster.read(objects), "lax": Cluster.read(lax), "empty": Cluster.read([])},
    )
    pods = "`fixia-app/deployment/api`"
    assert f"| `cloud metadata` | TCP 80 | {pods} (lax) |" in text
    assert f"| `internet` | TCP 443 | {pods} (strict, lax) |" in text
    assert (
        f"| {pods} (strict, lax) | TCP 3000 | {pods} (lax), `kube-system/deployment/kube-dns` (lax) |" in text
    )
    assert f"- may call anyone: {pods} (lax)\n" in text
