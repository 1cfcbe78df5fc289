"""What Prometheus is told, read off its files."""

import re
from dataclasses import replace
from typing import Any

import pulumi
import pytest
import yaml

from components.monitoring import prometheus_config as config
from components.monitoring.prometheus_config import Probe
from components.network import Endpoint
from components.watch import Alert, Recording, Target, Watch


def pods(name: str, port: int, *, app: str | None = None, namespace: str = "fixia-data") -> Endpoint:
    labels = {"app.kubernetes.io/name": app or name, "app.kubernetes.io/part-of": "fixia"}
    return Endpoint(name=name, namespace=namespace, pods=labels, port=port)


CACHE = Target(job="cache", endpoint=pods("cache-metrics", 9121, app="cache"))
OTHERS = Target(
    job="objects", endpoint=pods("objects", 8080, namespace="fixia-monitoring"), honor_labels=True
)
ALERTMANAGER = Target(
    job="alertmanager", endpoint=pods("alertmanager", 9093, namespace="fixia-monitoring"), tls=True
)
ALERT = Alert(name="Down", expression="up == 0", minutes=1, severity="P1", summary="s", runbook="r")


def scraped(target: Target, **passwords: str) -> dict[str, Any]:
    files = config.scrape_files([Watch(name="one", targets=[target])], passwords)
    (job,) = yaml.safe_load(files["scrape-one.yaml"])["scrape_configs"]
    assert isinstance(job, dict)
    return job


def labels_of(target: Target) -> dict[str, Any]:
    steps = scraped(target)["relabel_configs"]
    return {
        step["target_label"]: step.get("replacement") or step["source_labels"]
        for step in steps
        if "target_label" in step
    }


def kept(steps: list[dict[str, Any]], **labels: str) -> bool:
    """Whether a series or target gets past the steps that keep and drop, as Prometheus judges."""
    for step in steps:
        text = ";".join(labels.get(name, "") for name in step.get("source_labels", []))
        found = re.fullmatch(step.get("regex", ".*"), text) is not None
        if (step.get("action") == "keep" and not found) or (step.get("action") == "drop" and found):
            return False
    return True


def metrics_of(job: str) -> list[dict[str, Any]]:
    told = yaml.safe_load(config.prometheus_yml(external_labels={}, alertmanagers=None))
    (found,) = [each for each in told["scrape_configs"] if each["job_name"] == job]
    steps = found["metric_relabel_configs"]
    assert isinstance(steps, list)
    return steps


POD = {
    "__meta_kubernetes_pod_label_app_kubernetes_io_name": "cache",
    "__meta_kubernetes_pod_label_app_kubernetes_io_part_of": "fixia",
    "__meta_kubernetes_pod_container_port_number": "9121",
    "__meta_kubernetes_pod_phase": "Running",
}


@pytest.mark.parametrize(
    ("changed", "is_target"),
    [
        ({}, True),
        ({"__meta_kubernetes_pod_label_app_kubernetes_io_name": "cache-2"}, False),
        ({"__meta_kubernetes_pod_label_app_kubernetes_io_name": "my-cache"}, False),
        ({"__meta_kubernetes_pod_label_app_kubernetes_io_part_of": "other"}, False),
        ({"__meta_kubernetes_pod_container_port_number": "6379"}, False),
        ({"__meta_kubernetes_pod_container_port_number": ""}, False),
        ({"__meta_kubernetes_pod_phase": "Succeeded"}, False),
        ({"__meta_kubernetes_pod_phase": "Failed"}, False),
        ({"__meta_kubernetes_pod_phase": "Pending"}, True),
    ],
)
def test_a_target_is_what_the_endpoint_selects(changed: dict[str, str], is_target: bool) -> None:
    assert kept(scraped(CACHE)["relabel_configs"], **{**POD, **changed}) is is_target


def test_a_dot_in_a_label_is_a_dot() -> None:
    target = Target(job="x", endpoint=replace(CACHE.endpoint, pods={"app": "a.b"}))
    steps = scraped(target)["relabel_configs"]
    port = {"__meta_kubernetes_pod_container_port_number": "9121"}
    assert kept(steps, __meta_kubernetes_pod_label_app="a.b", **port)
    assert not kept(steps, __meta_kubernetes_pod_label_app="acb", **port)


def test_the_series_of_a_pod_say_which() -> None:
    assert labels_of(CACHE) == {
        "job": "cache",
        "namespace": ["__meta_kubernetes_namespace"],
        "pod": ["__meta_kubernetes_pod_name"],
        "node": ["__meta_kubernetes_pod_node_name"],
    }


def test_who_tells_of_others_lends_them_neither_its_pod_nor_its_node() -> None:
    assert set(labels_of(OTHERS)) == {"job", "namespace"}
    job = scraped(OTHERS)
    assert job["honor_labels"] is True
    (step,) = job["metric_relabel_configs"]
    assert (step["target_label"], step["replacement"]) == ("namespace", "")
    assert re.fullmatch(step["regex"], "kube_node_info")
    assert not re.fullmatch(step["regex"], "kube_pod_info")
    assert "metric_relabel_configs" not in scraped(CACHE)


def test_all_jobs_of_a_namespace_ask_the_api_the_same() -> None:
    """Prometheus watches once what several jobs ask for alike."""
    assert scraped(OTHERS)["kubernetes_sd_configs"] == scraped(ALERTMANAGER)["kubernetes_sd_configs"]
    assert scraped(CACHE)["kubernetes_sd_configs"] == [
        {"role": "pod", "namespaces": {"names": ["fixia-data"]}}
    ]


def test_tls_is_checked_for_the_services_name_and_a_password_is_shown_from_a_file() -> None:
    job = scraped(ALERTMANAGER, alertmanager="alertmanager-password")
    assert job["scheme"] == "https"
    assert job["tls_config"] == {
        "ca_file": "/run/secrets/tls/ca.crt",
        "server_name": "alertmanager.fixia-monitoring.svc",
        "min_version": "TLS12",
    }
    assert job["basic_auth"] == {
        "username": "platform",
        "password_file": "/run/secrets/prometheus/alertmanager-password",
    }


def test_a_password_is_shown_to_nobody_in_the_clear_or_without_need() -> None:
    assert "basic_auth" not in scraped(replace(ALERTMANAGER, tls=False), alertmanager="x")
    assert "basic_auth" not in scraped(ALERTMANAGER, prometheus="x")


@pytest.mark.parametrize(("interval", "timeout"), [(30, "10s"), (5, "5s")])
def test_an_answer_is_not_waited_for_longer_than_until_the_next_one(interval: int, timeout: str) -> None:
    job = scraped(replace(CACHE, interval_seconds=interval, path="/other"))
    assert (job["scrape_interval"], job["scrape_timeout"]) == (f"{interval}s", timeout)
    assert job["metrics_path"] == "/other"


@pytest.mark.parametrize(
    ("watches", "message"),
    [
        ([Watch(name="a"), Watch(name="a")], "two watches are called a"),
        ([Watch(name="a", targets=[CACHE]), Watch(name="b", targets=[CACHE])], "cache/cache-metrics"),
    ],
)
def test_names_that_come_twice_are_refused(watches: list[Watch], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config.scrape_files(watches, {})


def test_one_job_may_be_of_several_pods() -> None:
    both = [CACHE, replace(CACHE, endpoint=replace(CACHE.endpoint, name="more"))]
    files = config.scrape_files([Watch(name="a", targets=both)], {})
    names = [job["job_name"] for job in yaml.safe_load(files["scrape-a.yaml"])["scrape_configs"]]
    assert names == ["cache/cache-metrics", "cache/more"]
    assert config.jobs([Watch(name="a", targets=both)]) == ["apiserver", "cache", "cadvisor", "kubelet"]


def test_a_namespace_that_is_not_known_yet_is_refused() -> None:
    unknown = replace(CACHE, endpoint=replace(CACHE.endpoint, namespace=pulumi.Output.from_input("x")))
    with pytest.raises(TypeError, match="cache-metrics"):
        scraped(unknown)


def test_rules_are_one_file_for_each_watch_that_has_any() -> None:
    files = config.rule_files(
        [
            Watch(name="none", targets=[CACHE]),
            Watch(name="one", alerts=[ALERT], recordings=[Recording(record="a:b", expression="c")]),
        ]
    )
    assert set(files) == {"one.yaml"}
    assert files["one.yaml"].startswith("groups:")  # by which the policies know it
    (group,) = yaml.safe_load(files["one.yaml"])["groups"]
    assert group["name"] == "one"
    assert [rule.get("record") or rule["alert"] for rule in group["rules"]] == ["a:b", "Down"]


def test_every_alertmanager_gets_every_alert() -> None:
    told = yaml.safe_load(config.prometheus_yml(external_labels={}, alertmanagers=ALERTMANAGER.endpoint))
    (found,) = told["alerting"]["alertmanagers"]
    assert found["scheme"] == "https"
    assert found["basic_auth"]["password_file"] == "/run/secrets/prometheus/alertmanager-password"
    assert found["tls_config"]["server_name"] == "alertmanager.fixia-monitoring.svc"
    (names,) = found["dns_sd_configs"]
    assert names["names"] == ["alertmanager-headless.fixia-monitoring.svc"]
    assert (names["type"], names["port"]) == ("A", 9093)


def test_without_an_alertmanager_nobody_is_told() -> None:
    told = yaml.safe_load(config.prometheus_yml(external_labels={"a": 'quote " and $1'}, alertmanagers=None))
    assert told["alerting"]["alertmanagers"] == []
    assert told["global"]["external_labels"] == {"a": 'quote " and $1'}


def test_every_target_has_its_limits() -> None:
    told = yaml.safe_load(config.prometheus_yml(external_labels={}, alertmanagers=None))["global"]
    assert told["scrape_interval"] == told["evaluation_interval"] == "30s"
    for limit in ("sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit"):
        assert 0 < told[limit] <= 30_000


def test_what_is_asked_from_outside_goes_through_the_exporter() -> None:
    probes = [
        Probe(name="api", url="https://api.example.org/healthz"),
        Probe(name="www", url="https://example.org"),
        Probe(name="mail", url="mail.example.org:587", module="tcp"),
    ]
    files = config.probe_files(probes, pods("blackbox", 9115, namespace="fixia-monitoring"))
    http, tcp = yaml.safe_load(files["scrape-probes.yaml"])["scrape_configs"]
    assert (http["params"], tcp["params"]) == ({"module": ["http_2xx"]}, {"module": ["tcp"]})
    assert http["static_configs"] == [
        {"targets": ["https://api.example.org/healthz"], "labels": {"probe": "api", "module": "http_2xx"}},
        {"targets": ["https://example.org"], "labels": {"probe": "www", "module": "http_2xx"}},
    ]
    assert http["relabel_configs"] == [
        {"source_labels": ["__address__"], "target_label": "__param_target"},
        {"source_labels": ["__param_target"], "target_label": "instance"},
        {"target_label": "__address__", "replacement": "blackbox.fixia-monitoring.svc:9115"},
        {"target_label": "job", "replacement": "probe"},
    ]
    assert config.probe_files([], pods("blackbox", 9115)) == {}
    with pytest.raises(ValueError, match="two probes are called api"):
        config.probe_files([probes[0], probes[0]], pods("blackbox", 9115))


@pytest.mark.parametrize(
    ("series", "is_kept"),
    [
        ({"__name__": "container_memory_working_set_bytes", "container": "api"}, True),
        ({"__name__": "container_memory_working_set_bytes", "container": "POD"}, False),
        ({"__name__": "container_memory_working_set_bytes", "id": "/kubepods"}, False),
        ({"__name__": "container_memory_rss", "container": "api"}, False),
        ({"__name__": "container_cpu_usage_seconds_total", "container": "api"}, True),
        ({"__name__": "container_cpu_cfs_throttled_periods_total", "container": "api"}, True),
        ({"__name__": "container_cpu_cfs_periods_total", "container": "api"}, True),
        ({"__name__": "container_cpu_usage_seconds_total", "id": "/"}, False),
        ({"__name__": "container_oom_events_total", "container": "api"}, True),
        ({"__name__": "container_fs_usage_bytes", "id": "/", "device": "/dev/sda1"}, True),
        ({"__name__": "container_fs_limit_bytes", "id": "/", "device": "/dev/nvme0n1p1"}, True),
        ({"__name__": "container_fs_inodes_free", "id": "/", "device": "/dev/root"}, True),
        ({"__name__": "container_fs_limit_bytes", "id": "/", "device": "/dev/shm"}, False),
        ({"__name__": "container_fs_limit_bytes", "id": "/", "device": "tmpfs"}, False),
        ({"__name__": "container_fs_usage_bytes", "id": "/kubepods/x", "device": "/dev/sda1"}, False),
        ({"__name__": "container_fs_usage_bytes", "device": "/dev/sda1", "container": "api"}, False),
        ({"__name__": "container_fs_reads_total", "id": "/", "device": "/dev/sda1"}, False),
        ({"__name__": "container_network_receive_bytes_total", "interface": "eth0"}, True),
        (
            {"__name__": "container_network_receive_bytes_total", "interface": "eth0", "container": "POD"},
            True,
        ),
        ({"__name__": "container_network_transmit_errors_total", "interface": "ens5", "id": "/"}, True),
        ({"__name__": "container_network_receive_bytes_total", "interface": "cali12ab", "id": "/"}, False),
        ({"__name__": "container_network_tcp_usage_total", "interface": "eth0"}, False),
        ({"__name__": "container_tasks_state", "container": "api"}, False),
    ],
)
def test_of_cadvisor_what_is_used_is_kept(series: dict[str, str], is_kept: bool) -> None:
    assert kept(metrics_of("cadvisor"), **series) is is_kept


@pytest.mark.parametrize(
    ("job", "series", "is_kept"),
    [
        ("kubelet", {"__name__": "kubelet_volume_stats_available_bytes"}, True),
        ("kubelet", {"__name__": "kubelet_volume_stats_inodes_free"}, True),
        ("kubelet", {"__name__": "kubelet_volume_stats_inodes"}, True),
        ("kubelet", {"__name__": "kubelet_runtime_operations_duration_seconds_bucket"}, False),
        ("apiserver", {"__name__": "apiserver_request_total", "verb": "WATCH"}, True),
        ("apiserver", {"__name__": "apiserver_request_duration_seconds_bucket", "le": "1"}, True),
        ("apiserver", {"__name__": "apiserver_request_duration_seconds_bucket", "le": "1.0"}, True),
        ("apiserver", {"__name__": "apiserver_request_duration_seconds_bucket", "le": "+Inf"}, True),
        ("apiserver", {"__name__": "apiserver_request_duration_seconds_bucket", "le": "10"}, False),
        (
            "apiserver",
            {"__name__": "apiserver_request_duration_seconds_bucket", "le": "1", "verb": "WATCH"},
            False,
        ),
        ("apiserver", {"__name__": "apiserver_request_sli_duration_seconds_bucket", "le": "1"}, False),
        ("apiserver", {"__name__": "etcd_request_duration_seconds_bucket", "le": "1"}, False),
    ],
)
def test_of_the_cluster_what_is_used_is_kept(job: str, series: dict[str, str], is_kept: bool) -> None:
    assert kept(metrics_of(job), **series) is is_kept


@pytest.mark.parametrize("job", ["kubelet", "cadvisor", "apiserver"])
def test_the_token_is_told_to_none_but_the_cluster(job: str) -> None:
    told = yaml.safe_load(config.prometheus_yml(external_labels={}, alertmanagers=None))
    (found,) = [each for each in told["scrape_configs"] if each["job_name"] == job]
    assert found["scheme"] == "https"
    assert found["authorization"] == {
        "credentials_file": "/var/run/secrets/kubernetes.io/serviceaccount/token"
    }
    assert found["tls_config"]["ca_file"] == "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    assert "insecure_skip_verify" not in found["tls_config"]
