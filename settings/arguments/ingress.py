"""How the platform is reached from outside: routes, their certificate, the entrance."""

from collections.abc import Iterator, Mapping, Sequence

import pulumi

from components import network
from components.application.scaling import Autoscaling
from components.application.workload import Workload
from components.ingress.certificate import CertificateArgs, DnsChallenge, OriginCa
from components.ingress.entrance import EntranceArgs
from components.ingress.route import NOTHING, RateLimit, Route
from components.monitoring import grafana, status_page
from settings import entrance, workload
from settings.arguments.ground import Ground, host, resources
from settings.model import Settings
from settings.monitoring import GRAFANA, STATUS


def of_routes(settings: Settings, ground: Ground, workloads: Mapping[str, Workload]) -> list[Route]:
    """How the public workloads are reached, and what another program runs in the stack's namespaces."""
    public = {name: each.public for name, each in settings.workloads.items() if each.public}
    foreign = settings.entrance.foreign_routes if settings.entrance else {}
    return [
        *(_route(settings, name, section, workloads[name]) for name, section in public.items()),
        *(
            Route(
                name=name,
                host=host(settings, section.host),
                # By the label that every chart sets, and by none of ours.
                backend=network.Endpoint(
                    name=name,
                    namespace=ground.namespaces[section.namespace],
                    pods={"app.kubernetes.io/name": section.app},
                    port=section.port,
                ),
                service=section.service,
                content_security_policy=section.content_security_policy or NOTHING,
            )
            for name, section in foreign.items()
        ),
        *_grafana(settings, ground),
        *_status(settings, ground),
    ]


def of_certificate(section: entrance.Entrance, ground: Ground, routes: Sequence[Route]) -> CertificateArgs:
    """The certificate of the stack's hosts."""
    issuer: DnsChallenge | OriginCa = OriginCa()
    if section.certificate.origin_ca:
        issuer = OriginCa(validity_days=section.certificate.origin_ca.validity_days)
    if section.certificate.lets_encrypt:
        token = ground.credentials[section.certificate.lets_encrypt.token].current
        issuer = DnsChallenge(token=token, email=section.certificate.lets_encrypt.email)
    return CertificateArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        hosts=[route.host for route in routes],
        issuer=issuer,
    )


def of_entrance(
    section: entrance.Entrance,
    settings: Settings,
    ground: Ground,
    routes: Sequence[Route],
    certificate: pulumi.Input[str],
) -> EntranceArgs:
    """The entrance of the cluster; it may see the namespaces that its routes lead to, and no other."""
    tiers = {each.namespace for each in settings.workloads.values() if each.public}
    tiers |= {foreign.namespace for foreign in section.foreign_routes.values()}
    if settings.monitoring and [*_grafana(settings, ground), *_status(settings, ground)]:
        tiers.add(settings.monitoring.namespace)
    return EntranceArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        resources=resources(section.resources),
        routes=routes,
        served={tier: ground.namespaces[tier] for tier in sorted(tiers)},
        certificates=[certificate],
        api_server=network.Addresses(
            name="api-server",
            cidrs={cidr: [] for cidr in section.api_server},
            port=section.api_server_port,
        ),
        trusted_ranges=section.trusted(),
        autoscaling=Autoscaling(**dict(section.autoscaling)),
        service_type=section.service_type,
        service_annotations=section.service_annotations,
        node_ports=section.node_ports,
        priority_class=ground.priorities["critical"],
        class_name=section.class_name,
    )


def _grafana(settings: Settings, ground: Ground) -> Iterator[Route]:
    """The page of the monitoring's that our people come to; its names are fixed, for it is made later."""
    section = settings.monitoring
    if section and section.grafana and section.grafana.host:
        namespace = ground.namespaces[section.namespace]
        yield Route(
            name=GRAFANA,
            host=host(settings, section.grafana.host),
            backend=network.endpoint(ground.identity, GRAFANA, namespace, grafana.PORT),
            service=GRAFANA,
            content_security_policy=grafana.CONTENT_SECURITY_POLICY,
            hidden="/metrics",
        )


def _status(settings: Settings, ground: Ground) -> Iterator[Route]:
    """The page that everybody may come to; made later too."""
    section = settings.monitoring
    if section and section.status:
        yield Route(
            name=STATUS,
            host=host(settings, section.status.host),
            backend=network.endpoint(
                ground.identity, STATUS, ground.namespaces[section.namespace], status_page.PORT
            ),
            service=STATUS,
            rate_limit=RateLimit(),
            content_security_policy=status_page.CONTENT_SECURITY_POLICY,
        )


def _route(settings: Settings, name: str, section: workload.Public, backend: Workload) -> Route:
    limit = None
    if section.requests_per_second is not None:
        limit = RateLimit(average=section.requests_per_second, burst=section.burst)
    return Route(
        name=name,
        host=host(settings, section.host),
        backend=backend.endpoint,
        service=backend.service or name,
        rate_limit=limit,
        # A stream is never complete, so nothing can wait for its end to measure it.
        max_body_bytes=None if section.streams else section.body_megabytes * 2**20,
        content_security_policy=section.content_security_policy or NOTHING,
    )
