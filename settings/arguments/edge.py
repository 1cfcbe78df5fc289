"""The edge: who makes it, what the entrance knows of it, and what it is."""

from collections.abc import Sequence

import pulumi

from components.edge.cloudflare import CloudflareEdgeArgs
from components.edge.origin_pulls import OriginPullsArgs
from components.edge.providers import outside
from components.edge.watch import HealthCheck, Notified
from settings.arguments.ground import Ground, host
from settings.edge import Edge
from settings.edge_shape import shape_of, unproxied_of
from settings.model import Settings


def edge_providers(settings: Settings, ground: Ground) -> Sequence[pulumi.ProviderResource]:
    """The providers of what is outside the cluster; none where nothing of the stack is."""
    if settings.edge:
        return outside(ground.credentials[settings.edge.token].current)
    if settings.entrance and settings.entrance.certificate.origin_ca:
        return outside(None)
    return []


def of_origin_pulls(settings: Settings, ground: Ground) -> OriginPullsArgs:
    """The certificate that the edge shows to the entrance, of a stack that has both."""
    entrance, edge = settings.entrance, settings.edge
    assert edge, "asked of a stack without an edge"  # noqa: S101 for the types
    assert entrance, "the settings refuse an edge without an entrance"  # noqa: S101 for the types
    return OriginPullsArgs(
        identity=ground.identity,
        namespace=ground.namespaces[entrance.namespace],
        zone=edge.zone.id,
    )


def of_edge(
    edge: Edge, settings: Settings, ground: Ground, after: Sequence[pulumi.Resource]
) -> CloudflareEdgeArgs:
    """The zone."""
    health = edge.health_check
    return CloudflareEdgeArgs(
        identity=ground.identity,
        account=edge.account,
        zone=edge.zone.id,
        zone_name=edge.zone.name,
        shape=shape_of(settings, edge),
        origin=edge.origin,
        unproxied=unproxied_of(edge),
        hsts_subdomains=edge.hsts.subdomains,
        hsts_preload=edge.hsts.preload,
        flood_sensitivity=edge.flood_sensitivity,
        health_check=HealthCheck(
            host=host(settings, health.host),
            path=health.path,
            interval_seconds=health.interval_seconds,
            retries=health.retries,
            regions=health.regions,
        )
        if health
        else None,
        notified=Notified(**dict(edge.notifications)),
        origin_pulls=edge.origin_pulls,
        after=after,
    )
