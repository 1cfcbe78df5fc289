"""What the edge sees of a stack: its hosts, and what its rules are made of."""

from collections.abc import Mapping
from typing import Final

from components.edge.dns import Unproxied
from components.edge.shape import Owasp, Shape, Spared
from settings.edge import Edge
from settings.model import Settings

SITE: Final = "@"
"""The host label that stands for the domain itself."""

LOGIN_PER_MINUTE: Final = 10


def hosts_of(settings: Settings) -> Mapping[str, str]:
    """Every host that the entrance serves: the path of its setting -> its label below the domain."""
    hosts = {
        f"workloads.{name}.public.host": workload.public.host
        for name, workload in settings.workloads.items()
        if workload.public
    }
    foreign = settings.entrance.foreign_routes if settings.entrance else {}
    hosts |= {f"entrance.foreignRoutes.{name}.host": route.host for name, route in foreign.items()}
    if settings.monitoring is None:
        return hosts
    grafana, status = settings.monitoring.grafana, settings.monitoring.status
    if grafana and grafana.host:
        hosts["monitoring.grafana.host"] = grafana.host
    return hosts | ({"monitoring.status.host": status.host} if status else {})


def full(settings: Settings, label: str) -> str:
    """A host's whole name."""
    return settings.stack.domain if label == SITE else f"{label}.{settings.stack.domain}"


def unproxied_of(edge: Edge) -> list[Unproxied]:
    """The records that the edge does not stand in front of, by their whole names."""
    zone = edge.zone.name
    return [
        Unproxied(
            name=zone if each.name == "@" else f"{each.name}.{zone}",
            type=each.type,
            content=each.content,
            priority=each.priority,
            reason=each.reason,
        )
        for each in edge.unproxied
    ]


def shape_of(settings: Settings, edge: Edge) -> Shape:
    """The stack as the edge sees it.

    What streams are sockets, what an operator's network is needed for are consoles, and what else people's
    programs call is the API; the site itself is the only host with pages.

    Args:
        settings: the whole tree.
        edge: its section of that name.
    """
    labels = list(dict.fromkeys(hosts_of(settings).values()))
    streaming = {
        each.public.host for each in settings.workloads.values() if each.public and each.public.streams
    }
    consoles = [label for label in labels if label in edge.access.consoles]
    others = [label for label in labels if label not in {SITE, *consoles}]

    def named(some: list[str]) -> tuple[str, ...]:
        return tuple(full(settings, label) for label in some)

    limits, access = edge.rate_limits, edge.access
    return Shape(
        plan=edge.plan,
        site=settings.stack.domain,
        api=named([label for label in others if label not in streaming]),
        sockets=named([label for label in others if label in streaming]),
        consoles=named(consoles),
        hosts=named(labels),
        open_to=tuple(access.open_to),
        closed=tuple(access.closed_paths),
        methods=tuple(access.methods),
        blocked_countries=tuple(access.blocked_countries),
        only_countries=tuple(access.only_countries),
        verified_bots=access.verified_bots,
        login=tuple(limits.login_paths),
        login_per_minute=limits.login_per_minute or LOGIN_PER_MINUTE,
        requests_per_minute=limits.requests_per_minute,
        never_limited=tuple(limits.never_limited),
        assets=tuple(edge.assets),
        owasp=Owasp(**dict(edge.owasp)) if edge.owasp else None,
        exceptions=tuple(
            Spared(
                host=full(settings, each.host),
                path=each.path,
                rulesets=tuple(each.rulesets),
                reason=each.reason,
            )
            for each in edge.exceptions
        ),
        maintenance=edge.maintenance,
        under_attack=edge.under_attack,
    )
