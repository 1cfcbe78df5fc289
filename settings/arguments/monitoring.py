"""What watches everything: Prometheus and what it asks, Alertmanager and whom it tells, Grafana."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pulumi

from components import network
from components.application.workload import Workload
from components.data.alerts import MACHINES
from components.ingress.route import CLASS_NAME
from components.monitoring import (
    boards_application,
    boards_cluster,
    boards_development,
    boards_entrance,
    boards_executive,
    boards_monitoring,
    boards_operations,
    boards_security,
    boards_slo,
    routes,
    slo,
    status_page,
    watches,
)
from components.monitoring.alertmanager import Alertmanager, AlertmanagerArgs
from components.monitoring.application_alerts import at_entrance
from components.monitoring.blackbox import Blackbox, BlackboxArgs
from components.monitoring.collector import Collector, CollectorArgs
from components.monitoring.deployed import CONFIG_MAP, Deployed, DeployedArgs
from components.monitoring.grafana import Grafana, GrafanaArgs, SignOn, Sso, watched
from components.monitoring.kube_state_metrics import KubeStateMetrics, KubeStateMetricsArgs
from components.monitoring.logs import Logs, LogsArgs
from components.monitoring.node_alerts import API_SERVER
from components.monitoring.node_exporter import NodeExporter, NodeExporterArgs
from components.monitoring.prometheus import Prometheus, PrometheusArgs
from components.monitoring.prometheus_config import Probe, jobs
from components.monitoring.status_page import StatusPage, StatusPageArgs
from components.monitoring.traces import Traces, TracesArgs
from components.watch import Watch
from settings import monitoring
from settings.arguments.ground import Ground, host, resources
from settings.model import Settings
from settings.monitoring import (
    ALERTMANAGER,
    BLACKBOX,
    DEPLOYED,
    GRAFANA,
    KUBE_STATE_METRICS,
    LOGS,
    NODE_EXPORTER,
    PROMETHEUS,
    STATUS,
    TRACES,
)
from settings.revision import revision
from settings.types import tag_of
from settings.workload import COLLECTOR

PROGRAM: Final = Path(__file__).resolve().parents[2]
"""The folder of this program."""

KUBELET: Final = 10250
"""Where every node's kubelet listens."""

BOARDS: Final = (
    *(boards_application, boards_cluster, boards_development, boards_entrance, boards_executive),
    *(boards_monitoring, boards_operations, boards_security, boards_slo),
)


def monitored(
    settings: Settings,
    ground: Ground,
    brought: Sequence[Watch],
    opts: pulumi.ResourceOptions,
    in_place: pulumi.ResourceOptions,
    deployed: Mapping[str, Workload],
) -> dict[str, Any]:
    """Everything that watches, in the order in which it asks.

    Args:
        settings: the whole tree, with a section of it.
        ground: what it stands on.
        brought: what the components bring.
        opts: with the providers.
        in_place: with those by which a ConfigMap changes as it stands.
        deployed: what serves: once it stands, something was deployed.

    Returns:
        What to know of it: a stack's output.

    Raises:
        ValueError: the settings have no such section.
    """
    section = settings.monitoring
    if section is None:
        raise ValueError("nobody watches: the settings have no section `monitoring`")
    alertmanager = Alertmanager(ALERTMANAGER, _of_alertmanager(section, settings, ground), opts)
    objects = KubeStateMetrics(KUBE_STATE_METRICS, _of_kube_state_metrics(section, ground), opts)
    nodes = NodeExporter(NODE_EXPORTER, _of_node_exporter(section, ground), opts)
    told = [*brought, *_of_the_platform(settings), alertmanager.watch, objects.watch, nodes.watch]
    blackbox = None
    if section.blackbox:
        blackbox = Blackbox(BLACKBOX, _of_blackbox(section.blackbox, section, ground), opts)
        told.append(blackbox.watch)
    logs = traces = None
    if section.traces:
        traces = Traces(TRACES, _of_traces(section.traces, section, ground), opts)
        told.append(traces.watch)
    if section.logs:
        logs = Logs(LOGS, _of_logs(section.logs, section, ground), opts)
        collector = Collector(COLLECTOR, _of_collector(section.logs.collector, ground, logs, traces), opts)
        told += [logs.watch, collector.watch]
    if section.grafana:
        told.append(watched(GRAFANA, ground.identity, ground.namespaces[section.namespace]))
    probes = list(_probes(settings)) if blackbox else []
    told.append(watches.of_absences(sorted({*jobs(told, probes), PROMETHEUS} - _missed(told))))
    prometheus = Prometheus(
        PROMETHEUS,
        PrometheusArgs(
            identity=ground.identity,
            namespace=ground.namespaces[section.namespace],
            image=section.prometheus.image,
            resources=resources(section.prometheus.resources),
            authority=ground.authority,
            watches=told,
            api_server=_api_server(section),
            nodes=network.Addresses(name="nodes", cidrs={cidr: [] for cidr in section.nodes}, port=KUBELET),
            external_labels={"product": ground.identity.product, "environment": ground.identity.environment},
            storage=section.prometheus.storage,
            alertmanagers=alertmanager.endpoint,
            alertmanager_password=alertmanager.access.password,
            blackbox=blackbox.endpoint if blackbox else None,
            probes=probes,
            retention_days=section.prometheus.retention_days,
            retention_size=section.prometheus.retention_size,
            priority_class=ground.priorities["critical"],
            protect=ground.identity.environment == "production",
        ),
        opts,
    )
    if section.grafana:
        boards = {name: board for each in (*told, prometheus.watch) for name, board in each.boards.items()}
        for module in BOARDS:
            boards |= module.boards()
        shown = _of_grafana(section.grafana, section, settings, ground, prometheus, alertmanager, boards)
        shown = replace(shown, traces=traces.query if traces else None)
        Grafana(GRAFANA, replace(shown, logs=logs.endpoint if logs else None), opts)
    if section.status:
        StatusPage(STATUS, _of_status(section.status, section, settings, ground, prometheus), opts)
    Deployed(DEPLOYED, of_deployed(section, settings, ground, [*deployed.values()]), in_place)
    return {"prometheus": prometheus.host, "alertmanager": alertmanager.host}


def of_deployed(
    section: monitoring.Monitoring, settings: Settings, ground: Ground, after: Sequence[pulumi.Resource]
) -> DeployedArgs:
    """What was deployed, by this repository and the stack's file."""
    stack = pulumi.get_stack()
    levels = PROGRAM / "policies" / f"levels.{stack}.json"
    known = revision(PROGRAM, stack)
    return DeployedArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        stack=stack,
        version=", ".join(sorted({tag_of(each.image) for each in settings.workloads.values()})),
        commit=known.commit,
        author=known.author,
        levels=json.loads(levels.read_text(encoding="utf-8")) if levels.is_file() else {},
        after=after,
    )


def _missed(told: Sequence[Watch]) -> set[str]:
    """The jobs whose absence has an alert of its own; Grafana's, which decides nothing, wakes nobody."""
    own = {
        target.job
        for watch in told
        for target in watch.targets
        if any("absent(" in alert.expression for alert in watch.alerts)
    }
    return {*own, GRAFANA, API_SERVER}


def _of_the_platform(settings: Settings) -> Iterator[Watch]:
    """What no component can bring, because it is of several."""
    yield watches.of_cluster()
    yield watches.of_nodes()
    if settings.database or settings.cache:
        yield Watch(name="data", alerts=MACHINES)
    services = {
        name: at_entrance(f"{settings.stack.product}-{each.namespace}", name)
        for name, each in settings.workloads.items()
        if each.public and not each.public.streams
    }
    if services and settings.entrance and settings.entrance.class_name == CLASS_NAME:
        yield watches.of_application([*services.values()])
        yield watches.of_slos([each for name, at in services.items() for each in slo.promised(name, at)])
        yield watches.of_business()


def _probes(settings: Settings) -> Iterator[Probe]:
    """Every public host, asked as its users ask it, where its pods say whether they are ready."""
    for name, workload in settings.workloads.items():
        if workload.public and settings.entrance:
            address = f"https://{host(settings, workload.public.host)}{workload.probes.readiness}"
            yield Probe(name=name, url=address)
    status = settings.monitoring.status if settings.monitoring else None
    if status and settings.entrance:
        yield Probe(name=STATUS, url=f"https://{host(settings, status.host)}{status_page.HEALTH}")


def _api_server(section: monitoring.Monitoring) -> network.Addresses:
    return network.Addresses(
        name="api-server",
        cidrs={cidr: [] for cidr in section.api_server},
        port=section.api_server_port,
    )


def _of_alertmanager(section: monitoring.Monitoring, settings: Settings, ground: Ground) -> AlertmanagerArgs:
    shown = section.grafana.host if section.grafana else None
    return AlertmanagerArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.alertmanager.image,
        resources=resources(section.alertmanager.resources),
        receivers=_receivers(section.receivers, ground),
        authority=ground.authority,
        runbooks=f"{section.runbooks}/",
        storage=section.alertmanager.storage,
        replicas=section.alertmanager.replicas,
        timezone=section.time_zone,
        dashboards=f"https://{host(settings, shown)}" if shown else None,
        priority_class=ground.priorities["critical"],
        protect=ground.identity.environment == "production",
    )


def _receivers(section: monitoring.Receivers, ground: Ground) -> routes.Receivers:
    slack, email, known = section.slack, section.email, ground.credentials
    return routes.Receivers(
        slack=routes.Slack(channel=slack.channel, url=known[slack.url]) if slack else None,
        email=routes.Email(
            to=tuple(email.to),
            sender=email.sender,
            password=known[email.password],
            smarthost=email.server,
            username=email.username,
        )
        if email
        else None,
        pagerduty=routes.PagerDuty(routing_key=known[section.pagerduty]) if section.pagerduty else None,
        webhook=routes.Webhook(url=known[section.webhook]) if section.webhook else None,
        dead_mans_switch=known[section.dead_mans_switch] if section.dead_mans_switch else None,
    )


def _of_kube_state_metrics(section: monitoring.Monitoring, ground: Ground) -> KubeStateMetricsArgs:
    return KubeStateMetricsArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.kube_state_metrics.image,
        resources=resources(section.kube_state_metrics.resources),
        api_server=_api_server(section),
        priority_class=ground.priorities["critical"],
    )


def _of_node_exporter(section: monitoring.Monitoring, ground: Ground) -> NodeExporterArgs:
    return NodeExporterArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.node_exporter.image,
        facts=CONFIG_MAP,
        resources=resources(section.node_exporter.resources),
        priority_class=ground.priorities["critical"],
    )


def _of_blackbox(
    exporter: monitoring.Exporter, section: monitoring.Monitoring, ground: Ground
) -> BlackboxArgs:
    return BlackboxArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=exporter.image,
        resources=resources(exporter.resources),
        priority_class=ground.priorities["background"],
    )


def _of_status(
    status: monitoring.Status,
    section: monitoring.Monitoring,
    settings: Settings,
    ground: Ground,
    prometheus: Prometheus,
) -> StatusPageArgs:
    return StatusPageArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=status.image,
        resources=resources(status.resources),
        prometheus=prometheus.endpoint,
        prometheus_password=prometheus.access.password,
        authority=ground.authority,
        shown=status.shown,
        title=f"Status of {settings.stack.domain}",
        priority_class=ground.priorities["background"],
    )


def _of_logs(logs: monitoring.Logs, section: monitoring.Monitoring, ground: Ground) -> LogsArgs:
    return LogsArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=logs.image,
        resources=resources(logs.resources),
        authority=ground.authority,
        retention_days=logs.retention_days,
        storage=logs.storage,
        priority_class=ground.priorities["standard"],
        protect=ground.identity.environment == "production",
    )


def _of_traces(traces: monitoring.Traces, section: monitoring.Monitoring, ground: Ground) -> TracesArgs:
    return TracesArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=traces.image,
        resources=resources(traces.resources),
        authority=ground.authority,
        retention_days=traces.retention_days,
        storage=traces.storage,
        priority_class=ground.priorities["background"],
        protect=ground.identity.environment == "production",
    )


def _of_collector(
    collector: monitoring.Collector, ground: Ground, logs: Logs, traces: Traces | None
) -> CollectorArgs:
    return CollectorArgs(
        identity=ground.identity,
        namespace=ground.namespaces[collector.namespace],
        image=collector.image,
        resources=resources(collector.resources),
        authority=ground.authority,
        logs=logs.endpoint,
        traces=traces.endpoint if traces else None,
        priority_class=ground.priorities["critical"],
    )


def _of_grafana(
    grafana: monitoring.Grafana,
    section: monitoring.Monitoring,
    settings: Settings,
    ground: Ground,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    boards: dict[str, str],
) -> GrafanaArgs:
    sso = grafana.sso
    return GrafanaArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=grafana.image,
        resources=resources(grafana.resources),
        prometheus=prometheus.endpoint,
        prometheus_password=prometheus.access.password,
        authority=ground.authority,
        boards=boards,
        alertmanager=alertmanager.endpoint,
        alertmanager_password=alertmanager.access.password,
        host=host(settings, grafana.host) if grafana.host else None,
        sso=Sso(
            sign_on=SignOn(
                client_id=sso.client_id,
                authorize=sso.authorize,
                token=sso.token,
                userinfo=sso.userinfo,
                domains=tuple(sso.domains),
            ),
            client_secret=ground.credentials[sso.client_secret].current,
        )
        if sso
        else None,
        priority_class=ground.priorities["background"],
    )
