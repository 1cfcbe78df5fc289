"""What serves, and what has to succeed before a new version of it does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pulumi

from components import network
from components.application.container import Application, Probes
from components.application.release import ReleaseArgs
from components.application.scaling import Autoscaling
from components.application.workload import WorkloadArgs
from components.ingress.route import sticky_annotations
from components.monitoring.collector import taken
from settings import workload
from settings.arguments.engine import ServedDatabase
from settings.arguments.ground import SITE, Ground, host, resources
from settings.model import Settings
from settings.types import tag_of
from settings.workload import COLLECTOR

Callees = Mapping[str, network.Endpoint | network.Addresses]


def called_inside(settings: Settings, ground: Ground) -> dict[str, network.Endpoint]:
    """Every workload's pods, for those that call them, and who takes traces, if anybody keeps them."""
    section = settings.monitoring
    tracing = section.logs if section and section.traces else None
    took = (
        {COLLECTOR: taken(COLLECTOR, ground.identity, ground.namespaces[tracing.collector.namespace])}
        if tracing
        else {}
    )
    return took | {
        name: network.endpoint(ground.identity, name, ground.namespaces[each.namespace], each.port)
        for name, each in settings.workloads.items()
    }


def of_applications(settings: Settings, ground: Ground, callees: Callees) -> dict[str, Application]:
    """What runs in each workload's pods."""
    return {
        name: _reporting(name, _traced(name, made, settings), settings, ground)
        for name, section in settings.workloads.items()
        for made in (_of_application(section, settings, ground, callees),)
    }


def _of_application(
    section: workload.Workload, settings: Settings, ground: Ground, callees: Callees
) -> Application:
    return Application(
        image=section.image,
        args=section.args,
        port=section.port,
        metrics_port=section.metrics_port,
        resources=resources(section.resources),
        probes=Probes(**dict(section.probes)),
        talks_to=[callees[name] for name in section.talks_to],
        config={**_told(section, settings), **section.config},
        secrets={name: ground.credentials[name] for name in section.secrets},
        authority=ground.authority,
    )


def _traced(name: str, application: Application, settings: Settings) -> Application:
    """The same, told what to call itself in traces and how many to send, if it sends any."""
    traces = settings.monitoring.traces if settings.monitoring else None
    if traces is None or COLLECTOR not in settings.workloads[name].talks_to:
        return application
    about = {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.version={tag_of(settings.workloads[name].image)}"
        f",deployment.environment.name={settings.stack.environment}",
        # By the trace's id alone, which all see alike: what a stranger's request says decides nothing.
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{traces.sampled_percent / 100:g}",
    }
    return replace(application, config={**about, **application.config})


def _reporting(name: str, application: Application, settings: Settings, ground: Ground) -> Application:
    """The same, told where unexpected errors go, if the settings say that it reports them."""
    errors = settings.monitoring.errors if settings.monitoring else None
    if errors is None or name not in errors.workloads:
        return application
    about = {
        "SENTRY_ENVIRONMENT": settings.stack.environment,
        "SENTRY_RELEASE": tag_of(settings.workloads[name].image),
    }
    return replace(
        application,
        config={**about, **application.config},
        # Always by this name, whatever the stack calls it: SENTRY_DSN_FILE is where every reporter looks.
        secrets={**application.secrets, "sentry-dsn": ground.credentials[errors.dsn]},
    )


def of_migrations(
    section: workload.Workload, application: Application, database: ServedDatabase | None
) -> Application:
    """The same image as it migrates: as the owner, to the database itself, and to nothing else."""
    return replace(
        application,
        talks_to=[database.direct] if database else [],
        # Nothing of the entrance: nobody calls it.
        config={**_drain(section), **section.config},
        secrets={},
    )


def of_release(
    section: workload.Release,
    settings: Settings,
    ground: Ground,
    application: Application,
    database: ServedDatabase | None,
    after: Sequence[pulumi.Resource],
) -> ReleaseArgs:
    """What has to succeed before a new version is rolled out."""
    released = settings.workloads[section.workload]
    return ReleaseArgs(
        identity=ground.identity,
        namespace=ground.namespaces[released.namespace],
        application=application,
        migrations=of_migrations(released, application, database),
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


def _told(section: workload.Workload, settings: Settings) -> dict[str, str]:
    """What the platform tells every workload of itself; its own configuration may say otherwise."""
    told = _drain(section)
    if section.public is None or settings.entrance is None:
        return told
    proxies = [*settings.cluster.pod_ranges, *settings.entrance.trusted()]
    others = [
        f"{scheme}://{host(settings, each.public.host)}"
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


def _drain(section: workload.Workload) -> dict[str, str]:
    return {"DRAIN_SECONDS": str(section.drain_seconds)}
