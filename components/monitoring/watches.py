"""What is watched beside the components' own: the cluster, its nodes, the product and its promises."""

from collections.abc import Sequence

from components.monitoring import application_alerts, business, cluster_alerts, node_alerts, slo, watchdog
from components.watch import Watch


def of_cluster() -> Watch:
    """Rollouts, jobs, pods, containers, limits, volumes."""
    return Watch(name="cluster", alerts=cluster_alerts.ALERTS)


def of_nodes() -> Watch:
    """The machines, the kubelets and the API server."""
    return Watch(name="nodes", alerts=node_alerts.ALERTS)


def of_application(services: Sequence[str]) -> Watch:
    """The product as its users see it, and as it sees itself.

    Args:
        services: those that are asked at all hours and answer at once, such as the API, as the entrance calls
            them (`components.monitoring.application_alerts.at_entrance`); at least one.
    """
    return Watch(
        name="application",
        alerts=application_alerts.alerts(services),
        recordings=application_alerts.RECORDINGS,
    )


def of_slos(slos: Sequence[slo.Slo]) -> Watch:
    """What is promised.

    Args:
        slos: the promises, such as `slo.promised("api", at_entrance(namespace, "api"))`; at least one.
    """
    return Watch(name="slos", alerts=slo.ALERTS, recordings=slo.recordings(slos))


def of_absences(jobs: Sequence[str]) -> Watch:
    """That the watching itself goes on.

    Args:
        jobs: the names of the jobs that must always be there.
    """
    return Watch(name="absences", alerts=(watchdog.WATCHDOG, *watchdog.absences(jobs)))


def of_business() -> Watch:
    """How the product is doing."""
    return Watch(name="business", alerts=business.ALERTS, recordings=business.RECORDINGS)
