"""Sections of the settings as components' arguments: names become components, and pydantic ends here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi

from components import network
from components.application.container import Application, Probes
from components.application.release import ReleaseArgs
from components.application.scaling import Autoscaling
from components.application.workload import Workload, WorkloadArgs
from components.base import Identity
from components.data.cache import CacheArgs
from components.data.maintenance import MaintenanceArgs
from components.data.pgbouncer import PoolArgs, PooledDatabase
from components.data.postgres import Database, DatabaseArgs
from components.data.postgres_config import GROUPS, SINGLE_ROLES
from components.ingress.certificate import CertificateArgs, DnsChallenge, OriginCa
from components.ingress.entrance import EntranceArgs
from components.ingress.route import NOTHING, RateLimit, Route, sticky_annotations
from components.platform.authority import Authority
from components.platform.credentials import Credentials, CredentialsArgs, Generated
from components.platform.namespace import NamespaceArgs, Quota
from components.platform.priorities import Priority
from components.pods import Resources
from settings import data, entrance, workload
from settings.model import Settings

PASSWORD_LENGTH: Final = 48
"""In letters and digits: more than anybody guesses, and short enough for every protocol."""

SITE: Final = "@"
"""The host label that stands for the domain itself."""

ENTRANCE_PORTS: Final = ("web", "websecure")

Callees = Mapping[str, network.Endpoint | network.Addresses]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every other component stands on.

    Attributes:
        identity: whose everything is.
        namespaces: tier -> the namespace's name in the cluster.
        priorities: priority -> the name of its class.
        authority: who vouches for the tiers that encrypt.
        credentials: what must not be told.
    """

    identity: Identity
    namespaces: Mapping[str, pulumi.Input[str]]
    priorities: Mapping[Priority, pulumi.Input[str]]
    authority: Authority
    credentials: Credentials


def of_identity(settings: Settings) -> Identity:
    """Whose the stack's objects are."""
    return Identity(**settings.stack.model_dump(exclude={"domain"}))


def of_namespace(name: str, settings: Settings, identity: Identity) -> NamespaceArgs:
    """One tier."""
    quota = settings.platform.namespaces[name].quota
    entered = settings.entrance and settings.entrance.node_ports and settings.entrance.namespace == name
    return NamespaceArgs(
        identity=identity, quota=Quota(**dict(quota), node_ports=len(ENTRANCE_PORTS) if entered else 0)
    )


def of_credentials(settings: Settings, identity: Identity) -> CredentialsArgs:
    """The stack's credentials: those that it makes, the database's too, and those that somebody set."""
    secrets = settings.secrets
    roles = (*GROUPS, *SINGLE_ROLES) if settings.database else ()
    epoch = settings.database.password_epoch if settings.database else 1
    return CredentialsArgs(
        identity=identity,
        generated={
            name: Generated(length=secret.generate, epoch=secret.epoch)
            for name, secret in secrets.items()
            if secret.generate is not None
        }
        | {f"{role}-password": Generated(length=PASSWORD_LENGTH, epoch=epoch) for role in roles},
        given={
            name: pulumi.Output.secret(secret.value.get_secret_value())
            for name, secret in secrets.items()
            if secret.value is not None
        },
    )


def of_database(section: data.Database, ground: Ground) -> DatabaseArgs:
    """PostgreSQL."""
    return DatabaseArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        exporter_image=section.exporter_image,
        resources=_resources(section.resources),
        storage=section.storage,
        credentials={role: ground.credentials[f"{role}-password"] for role in (*GROUPS, *SINGLE_ROLES)},
        authority=ground.authority,
        parameters=section.parameters,
        max_connections=section.max_connections,
        standbys=section.standbys,
        first_standby=section.first_standby,
        claim=section.claim,
        priority_class=ground.priorities["critical"],
        protect=ground.identity.environment == "production",
    )


def of_pool(section: data.Database, ground: Ground, database: Database) -> PoolArgs:
    """PgBouncer in front of it."""
    return PoolArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.pool.image,
        exporter_image=section.pool.exporter_image,
        resources=_resources(section.pool.resources),
        replicas=section.pool.replicas,
        database=PooledDatabase(
            host=database.host,
            port=database.endpoint.port,
            name=database.database,
            endpoint=database.endpoint,
        ),
        app=ground.credentials["app-password"],
        pooler=ground.credentials["pooler-password"],
        budget=section.pool.budget,
        authority=ground.authority,
        priority_class=ground.priorities["critical"],
    )


def of_maintenance(section: data.Database, ground: Ground, database: Database) -> MaintenanceArgs:
    """The database's nightly work; no backup is waited for as long as there is none."""
    return MaintenanceArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        database=database.called_as("maintenance"),
        password=ground.credentials["maintenance-password"],
        authority=ground.authority,
        backup_grace_seconds=0,
        priority_class=ground.priorities["background"],
    )


def of_migrations(application: Application, database: Database | None) -> Application:
    """The same image as it migrates: as the owner, to the database itself, and to nothing else."""
    return replace(application, talks_to=[database.endpoint] if database else [], secrets={})


def of_cache(section: data.Cache, ground: Ground) -> CacheArgs:
    """The cache and queue."""
    return CacheArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        exporter_image=section.exporter_image,
        resources=_resources(section.resources),
        storage=section.storage,
        password=ground.credentials[section.password],
        authority=ground.authority,
        priority_class=ground.priorities["critical"],
        protect=ground.identity.environment == "production",
    )


def of_application(
    section: workload.Workload, settings: Settings, ground: Ground, callees: Callees
) -> Application:
    """What runs in a workload's pods."""
    return Application(
        image=section.image,
        args=section.args,
        port=section.port,
        metrics_port=section.metrics_port,
        resources=_resources(section.resources),
        probes=Probes(**dict(section.probes)),
        talks_to=[callees[name] for name in section.talks_to],
        config={**_told(section, settings), **section.config},
        secrets={name: ground.credentials[name] for name in section.secrets},
        authority=ground.authority,
    )


def of_release(
    section: workload.Release,
    settings: Settings,
    ground: Ground,
    application: Application,
    database: Database | None,
    after: Sequence[pulumi.Resource],
) -> ReleaseArgs:
    """What has to succeed before a new version is rolled out."""
    return ReleaseArgs(
        identity=ground.identity,
        namespace=ground.namespaces[settings.workloads[section.workload].namespace],
        application=application,
        migrations=of_migrations(application, database),
        migrate=section.migrate,
        smoke=section.smoke,
        deadline_seconds=section.deadline_seconds,
        after=after,
        priority_class=ground.priorities["standard"],
    )


def of_workload(
    section: workload.Workload, ground: Ground, application: Application, after: Sequence[pulumi.Resource]
) -> WorkloadArgs:
    """One stateless service."""
    return WorkloadArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        application=application,
        autoscaling=Autoscaling(**dict(section.autoscaling)),
        drain_seconds=section.drain_seconds,
        has_service=section.service,
        service_annotations=sticky_annotations() if section.public and section.public.streams else {},
        priority_class=ground.priorities[section.priority],
        after=after,
    )


def of_routes(settings: Settings, ground: Ground, workloads: Mapping[str, Workload]) -> list[Route]:
    """How the public workloads are reached, and what another program runs in the stack's namespaces."""
    public = {name: each.public for name, each in settings.workloads.items() if each.public}
    foreign = settings.entrance.foreign_routes if settings.entrance else {}
    return [
        *(_route(settings, name, section, workloads[name]) for name, section in public.items()),
        *(
            Route(
                name=name,
                host=_host(settings, section.host),
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
    return EntranceArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        resources=_resources(section.resources),
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


def _told(section: workload.Workload, settings: Settings) -> dict[str, str]:
    """What the platform tells every workload of itself; its own configuration may say otherwise."""
    told = {"DRAIN_SECONDS": str(section.drain_seconds)}
    if section.public is None or settings.entrance is None:
        return told
    proxies = [*settings.cluster.pod_ranges, *settings.entrance.trusted()]
    others = [
        f"{scheme}://{_host(settings, each.public.host)}"
        for each in settings.workloads.values()
        if each.public and each.public.host != SITE
        for scheme in (("https", "wss") if each.public.streams else ("https",))
    ]
    told |= {
        "TRUSTED_PROXIES": ",".join(proxies),
        "BODY_LIMIT_BYTES": str(section.public.body_megabytes * 2**20),
        "CORS_ORIGINS": f"https://{settings.stack.domain}",
    }
    return told | ({"CONNECT_ORIGINS": ",".join(others)} if section.public.host == SITE else {})


def _resources(section: workload.Resources) -> Resources:
    return Resources(**dict(section))


def _host(settings: Settings, label: str) -> str:
    return settings.stack.domain if label == SITE else f"{label}.{settings.stack.domain}"


def _route(settings: Settings, name: str, section: workload.Public, backend: Workload) -> Route:
    limit = None
    if section.requests_per_second is not None:
        limit = RateLimit(average=section.requests_per_second, burst=section.burst)
    return Route(
        name=name,
        host=_host(settings, section.host),
        backend=backend.endpoint,
        service=backend.service or name,
        rate_limit=limit,
        # A stream is never complete, so nothing can wait for its end to measure it.
        max_body_bytes=None if section.streams else section.body_megabytes * 2**20,
        content_security_policy=section.content_security_policy or NOTHING,
    )
