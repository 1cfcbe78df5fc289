"""Whether what watches the platform agrees with the rest of the settings."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from components.quantities import quantity
from settings.disagreement import Disagreement
from settings.model import Settings
from settings.monitoring import Errors, Monitoring, Status
from settings.workload import CACHE, COLLECTOR, INTERNET, POOL, Resources

FILLED: Final = Decimal("0.85")
"""Of Prometheus' volume: beside its data stands the log of the last hours."""

_SIZES: Final = {"MB": 2**20, "GB": 2**30}
"""As Prometheus counts: its units are binary. Source: https://github.com/alecthomas/units"""


def refused(settings: Settings) -> Iterator[Disagreement]:
    """What somebody must change."""
    section = settings.monitoring
    if section is None:
        return
    yield from _secrets(settings, section)
    yield from _volume(section)
    if section.errors:
        yield from _errors(settings, section.errors)
    if section.status:
        yield from _status(settings, section, section.status)
    if section.traces and section.logs is None:
        valid = "with a section `monitoring.logs`, whose collector takes them; or left out"
        yield Disagreement("monitoring.traces", "a store that nobody sends to", valid)
    yield from _alone(settings, section)
    if settings.stack.environment == "production" and section.alertmanager.replicas < 2:
        valid = "2 in production: one pod goes with its node, and nobody is told"
        yield Disagreement("monitoring.alertmanager.replicas", str(section.alertmanager.replicas), valid)


def pods(section: Monitoring) -> list[tuple[list[Resources], int]]:
    """What a pod of each kind requests, and how many such pods there are at most."""
    always = (section.grafana, section.kube_state_metrics, section.blackbox, section.status)
    replaced = [each for each in always if each]
    return [
        ([section.prometheus.resources], 1),
        ([section.alertmanager.resources], section.alertmanager.replicas),
        ([section.node_exporter.resources], section.most_nodes),
        *(([each.resources], 1) for each in (section.logs, section.traces) if each),
        # A release starts a new one before it stops the old one.
        *(([each.resources], 2) for each in replaced),
    ]


def collectors(section: Monitoring, namespace: str) -> list[tuple[list[Resources], int]]:
    """The collector's pods in a namespace, as `pods`.

    Args:
        section: what the settings say of it.
        namespace: one of `platform.namespaces`.
    """
    collector = section.logs.collector if section.logs else None
    if collector is None or collector.namespace != namespace:
        return []
    return [([collector.resources], section.most_nodes)]


def _alone(settings: Settings, section: Monitoring) -> Iterator[Disagreement]:
    """Whoever shared the collector's namespace could mount a node's folders too."""
    if section.logs is None:
        return
    namespace = section.logs.collector.namespace
    others = {
        "monitoring.namespace": section.namespace,
        **{f"workloads.{name}.namespace": each.namespace for name, each in settings.workloads.items()},
        **{
            f"{name}.namespace": getattr(settings, name).namespace
            for name in ("database", "cache", "entrance")
            if getattr(settings, name)
        },
    }
    for path, other in others.items():
        if other == namespace:
            valid = "another namespace than the collector's, whose pods may mount folders of their node"
            yield Disagreement(path, repr(other), valid)


def _secrets(settings: Settings, section: Monitoring) -> Iterator[Disagreement]:
    named = [(f"receivers.{path}", name) for path, name in section.receivers.secret_names()]
    if section.grafana and section.grafana.sso:
        named.append(("grafana.sso.clientSecret", section.grafana.sso.client_secret))
    if section.errors:
        named.append(("errors.dsn", section.errors.dsn))
    for path, name in named:
        if name not in settings.secrets:
            known = ", ".join(sorted(settings.secrets)) or "and there is none yet"
            yield Disagreement(f"monitoring.{path}", repr(name), f"one of `secrets`: {known}")


def _errors(settings: Settings, errors: Errors) -> Iterator[Disagreement]:
    """No workload gets a way out of the cluster by reporting errors: it has one, or it reports none."""
    known = {*settings.workloads, CACHE, COLLECTOR, INTERNET, POOL}
    for index, name in enumerate(errors.workloads):
        path = f"monitoring.errors.workloads[{index}]"
        workload = settings.workloads.get(name)
        if workload is None:
            yield Disagreement(
                path, repr(name), f"one of `workloads`: {', '.join(sorted(settings.workloads))}"
            )
        # A name that is misspelt is told by itself, and may be the very one.
        elif INTERNET not in workload.talks_to and known >= set(workload.talks_to):
            valid = f"a workload that talks to `{INTERNET}`, through which its reports would go"
            yield Disagreement(
                path, repr(name), f"{valid}: add it to workloads.{name}.talksTo, or leave it out"
            )
    secret = settings.secrets.get(errors.dsn)
    if secret and secret.generate is not None:
        yield Disagreement(
            "monitoring.errors.dsn", repr(errors.dsn), "a secret that is given: Sentry made it"
        )


def _status(settings: Settings, section: Monitoring, status: Status) -> Iterator[Disagreement]:
    """The page shows what the probes found: without them, or of what they don't ask, there is nothing."""
    if section.blackbox is None:
        valid = "with a section `monitoring.blackbox`, whose probes it shows; or left out"
        yield Disagreement("monitoring.status", "a page without probes", valid)
    public = sorted(name for name, each in settings.workloads.items() if each.public)
    for name in status.shown:
        if name not in public:
            yield Disagreement(
                f"monitoring.status.shown.{name}", repr(name), f"a public workload: {', '.join(public)}"
            )


def _volume(section: Monitoring) -> Iterator[Disagreement]:
    prometheus = section.prometheus
    size, unit = prometheus.retention_size[:-2], prometheus.retention_size[-2:]
    most = quantity(prometheus.storage) * FILLED
    if int(size) * _SIZES[unit] > most:
        valid = f"at most {most / 2**20:.0f}MB, {FILLED:%} of prometheus.storage: the rest is its log"
        yield Disagreement("monitoring.prometheus.retentionSize", repr(prometheus.retention_size), valid)
