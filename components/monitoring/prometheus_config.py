"""What Prometheus is told, as text: pure functions from watches to files."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Final

import yaml

from components.monitoring.access import TLS_FOLDER, USER
from components.network import Endpoint
from components.platform.api_token import TOKEN_FOLDER
from components.watch import Target, Watch, rules

CONFIG_FOLDER: Final = "/etc/prometheus"
RULES_FOLDER: Final = "/etc/prometheus-rules"
SECRETS_FOLDER: Final = "/run/secrets/prometheus"

PASSWORD: Final = "password"  # noqa: S105 a file's name
"""The file with Prometheus' own password."""
ALERTMANAGER_PASSWORD: Final = "alertmanager-password"  # noqa: S105
"""The file with Alertmanager's."""

NODE_JOBS: Final = ("kubelet", "cadvisor", "apiserver")
"""The jobs that prometheus.yml has by itself."""
PROBE_JOB: Final = "probe"
"""The job of what is asked from outside."""

TIMEOUT_SECONDS: Final = 10

_NAME: Final = "app.kubernetes.io/name"
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Something that is asked as its users ask it, by the blackbox exporter.

    Its series, such as `probe_success`, have `job="probe"`; the labels `probe` and `module` say which, and
    `instance` is the URL.

    Attributes:
        name: what it is, such as `api`; unique.
        url: what is asked: a URL for `http_2xx`, `host:port` for the others.
        module: how, one of those in blackbox.yml.
    """

    name: str
    url: str
    module: str = "http_2xx"


def name_of(endpoint: Endpoint) -> str:
    """What its component is called in the cluster: its Service and, before `-headless`, its pods' one too."""
    return endpoint.pods[_NAME]


def prometheus_yml(*, external_labels: Mapping[str, str], alertmanagers: Endpoint | None) -> str:
    """The main file.

    Args:
        external_labels: what tells this Prometheus' alerts from another's.
        alertmanagers: who is told of alerts, its namespace known; every one of the pods, each by itself, so
            that one which is cut off from its siblings knows all the same.

    Returns:
        The content of a YAML file.
    """
    told: list[dict[str, Any]] = []
    if alertmanagers:
        name, namespace = name_of(alertmanagers), _namespace(alertmanagers)
        # By DNS rather than the API: alerts must go out when the API server is what is down.
        addresses = {
            "names": [f"{name}-headless.{namespace}.svc"],
            "type": "A",
            "port": alertmanagers.port,
            "refresh_interval": "15s",
        }
        told.append(
            {
                "scheme": "https",
                "tls_config": _trusted(alertmanagers),
                "basic_auth": _shown(ALERTMANAGER_PASSWORD),
                "dns_sd_configs": [addresses],
            }
        )
    template = Template((_FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    # JSON is YAML too, and quotes whatever needs it.
    return template.substitute(
        external_labels=json.dumps(dict(external_labels)),
        alertmanagers=json.dumps(told),
        rules_folder=RULES_FOLDER,
        token_folder=TOKEN_FOLDER,
    )


def client_yml(server_name: str = "localhost") -> str:
    """By what promtool asks Prometheus from within its pod: for the probes, and for people.

    Args:
        server_name: the name that the certificate must be for.
    """
    trusted = {"ca_file": f"{TLS_FOLDER}/ca.crt", "server_name": server_name, "min_version": "TLS12"}
    return _yaml({"basic_auth": _shown(PASSWORD), "tls_config": trusted})


def scrape_files(watches: Sequence[Watch], passwords: Mapping[str, str]) -> dict[str, str]:
    """What the components want to be asked: one file for each that has targets.

    Args:
        watches: theirs; every namespace is known.
        passwords: the component's name, as `name_of` -> the file with its password, for those that have one.

    Returns:
        File name -> content, YAML.

    Raises:
        ValueError: two watches have one name, or two targets one job and one name.
    """
    _unique("watches", [watch.name for watch in watches])
    _unique("targets", [_pool(target) for watch in watches for target in watch.targets])
    return {
        f"scrape-{watch.name}.yaml": _yaml(
            {"scrape_configs": [_scrape(target, passwords) for target in watch.targets]}
        )
        for watch in watches
        if watch.targets
    }


def probe_files(probes: Sequence[Probe], exporter: Endpoint) -> dict[str, str]:
    """What is asked as its users ask it: one file, with one job for each way to ask.

    Args:
        probes: what, and how.
        exporter: the blackbox exporter, its namespace known.

    Returns:
        File name -> content, YAML; nothing without probes.

    Raises:
        ValueError: two probes have one name.
    """
    _unique("probes", [probe.name for probe in probes])
    address = f"{name_of(exporter)}.{_namespace(exporter)}.svc:{exporter.port}"
    jobs = [
        {
            "job_name": f"{PROBE_JOB}/{module}",
            "metrics_path": "/probe",
            "params": {"module": [module]},
            "static_configs": [
                {"targets": [probe.url], "labels": {"probe": probe.name, "module": module}}
                for probe in probes
                if probe.module == module
            ],
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                _set("__address__", address),
                _set("job", PROBE_JOB),
            ],
        }
        for module in sorted({probe.module for probe in probes})
    ]
    return {"scrape-probes.yaml": _yaml({"scrape_configs": jobs})} if jobs else {}


def rule_files(watches: Sequence[Watch]) -> dict[str, str]:
    """What somebody is told, and what is computed ahead: `<watch>.yaml` for each that has any.

    Args:
        watches: theirs.

    Returns:
        File name -> content, YAML.

    Raises:
        ValueError: two watches have one name.
    """
    _unique("watches", [watch.name for watch in watches])
    return {
        f"{watch.name}.yaml": _yaml(rules(watch.name, watch.alerts, watch.recordings))
        for watch in watches
        if watch.alerts or watch.recordings
    }


def jobs(watches: Iterable[Watch], probes: Sequence[Probe] = ()) -> list[str]:
    """Every job that has targets when all is well.

    Args:
        watches: the components'.
        probes: what is asked from outside.
    """
    told = {target.job for watch in watches for target in watch.targets}
    return sorted({*told, *NODE_JOBS, *([PROBE_JOB] if probes else [])})


def _scrape(target: Target, passwords: Mapping[str, str]) -> dict[str, Any]:
    """One scrape job.

    All jobs of a namespace ask the API the same, so that Prometheus watches each namespace's pods once; what
    is kept of them is decided here. A server is asked by its pods' addresses, so it must be said for which
    name its certificate is. There is no `fallback_scrape_protocol`, which 2.53 refuses: a target must say
    its Content-Type, or 3 refuses to read it.
    """
    endpoint = target.endpoint
    selected = sorted(endpoint.pods)
    made: dict[str, Any] = {
        "job_name": _pool(target),
        "metrics_path": target.path,
        "scrape_interval": f"{target.interval_seconds}s",
        "scrape_timeout": f"{min(TIMEOUT_SECONDS, target.interval_seconds)}s",
        "honor_labels": target.honor_labels,
        "kubernetes_sd_configs": [{"role": "pod", "namespaces": {"names": [_namespace(endpoint)]}}],
        "relabel_configs": [
            {
                "action": "keep",
                "source_labels": [*map(_pod_label, selected), "__meta_kubernetes_pod_container_port_number"],
                "regex": ";".join(
                    [*(_quoted(endpoint.pods[label]) for label in selected), str(endpoint.port)]
                ),
            },
            # A pod that has ended keeps its labels, and for a while its address.
            {"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "Succeeded|Failed"},
            _set("job", target.job),
            *(
                _copy(name)
                for name in (("namespace",) if target.honor_labels else ("namespace", "pod", "node"))
            ),
        ],
    }
    if target.honor_labels:
        # What tells of others would lend its own pod and node to all that have none, such as a Deployment,
        # and its namespace to what has none: nodes.
        made["metric_relabel_configs"] = [
            {"source_labels": ["__name__"], "regex": "kube_node_.*", **_set("namespace", "")}
        ]
    if target.tls:
        made |= {"scheme": "https", "tls_config": _trusted(endpoint)}
        if password := passwords.get(name_of(endpoint)):
            made["basic_auth"] = _shown(password)
    return made


def _pool(target: Target) -> str:
    """What Prometheus calls the job in its own pages; several may have one `job` label."""
    return f"{target.job}/{target.endpoint.name}"


def _pod_label(name: str) -> str:
    return "__meta_kubernetes_pod_label_" + "".join(each if each.isalnum() else "_" for each in name)


_META: Final = {
    "namespace": "__meta_kubernetes_namespace",
    "pod": "__meta_kubernetes_pod_name",
    "node": "__meta_kubernetes_pod_node_name",
}


def _copy(label: str) -> dict[str, Any]:
    return {"source_labels": [_META[label]], "target_label": label}


def _set(label: str, value: str) -> dict[str, str]:
    # In a replacement a dollar sign begins a reference; names and hosts have none.
    return {"target_label": label, "replacement": value}


def _quoted(value: str) -> str:
    """A label's value as a pattern: of what it may consist of, the dot alone means something else."""
    return value.replace(".", r"\.")


def _trusted(endpoint: Endpoint) -> dict[str, str]:
    name = f"{name_of(endpoint)}.{_namespace(endpoint)}.svc"
    return {"ca_file": f"{TLS_FOLDER}/ca.crt", "server_name": name, "min_version": "TLS12"}


def _shown(password: str) -> dict[str, str]:
    # A file, read anew for each request.
    return {"username": USER, "password_file": f"{SECRETS_FOLDER}/{password}"}


def _namespace(endpoint: Endpoint) -> str:
    if not isinstance(endpoint.namespace, str):
        raise TypeError(f"the namespace of {endpoint.name} must be known here: resolve it first")
    return endpoint.namespace


def _unique(what: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two {what} are called {', '.join(twice)}: each needs a name of its own")


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=110, allow_unicode=True)
