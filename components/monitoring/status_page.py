"""The public status page: how the product answers, for everybody, by the figures of the probes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import Secret, Service, ServicePortArgs, ServiceSpecArgs, VolumeMountArgs

from components.base import Component, Identity
from components.deployments import rolling
from components.network import Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, http_probe
from components.volumes import scripts_volume, secret_volume

PORT: Final = 8080
HEALTH: Final = "/health"
SCRIPTS: Final = Path(__file__).parent / "status"
"""The program with its page."""

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load, for the entrance."""

_FOLDERS: Final = {
    "scripts": "/usr/local/lib/status",
    "secrets": "/run/secrets/status",
    "tls": "/run/secrets/tls",
}


@dataclass(frozen=True, kw_only=True)
class StatusPageArgs:
    """The page.

    Attributes:
        identity: whose it is.
        namespace: where its pod runs.
        image: an image with Python 3.11 or newer as its entrypoint, with a tag; see images/status.
        resources: what it may use.
        prometheus: what it asks.
        prometheus_password: of the user `platform` there.
        authority: who vouches for that.
        shown: the probe's name -> the name that everybody sees.
        title: of the page.
        priority_class: the name of its pod's priority class.
        port: where it listens for HTTP.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    prometheus: Endpoint
    prometheus_password: pulumi.Input[str]
    authority: Authority
    shown: Mapping[str, str]
    title: str
    priority_class: pulumi.Input[str] | None = None
    port: int = PORT


class StatusPage(Component):
    """One pod that asks Prometheus every half minute and shows everybody what it last heard.

    It is inside of what it tells of: when the whole cluster is away, so is the page, and whoever asks it from
    outside knows as much. It keeps nothing; while Prometheus is silent the page says that nothing is known.
    """

    TYPE = "fixia:monitoring:StatusPage"

    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""
    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""

    def __init__(self, name: str, args: StatusPageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.endpoint = endpoint(args.identity, name, args.namespace, args.port)
        selector = self.endpoint.pods
        self.deployment = self._deployment(name, args, selector).metadata.name
        self.service = self._service(name, args, selector).metadata.name
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=[args.prometheus]),
            opts=self.child(),
        )
        self.finish()

    def _deployment(self, name: str, args: StatusPageArgs, selector: Mapping[str, str]) -> Deployment:
        secret = Secret(
            f"{name}-secrets",
            metadata=self.metadata(args.namespace),
            immutable=True,
            type="Opaque",
            string_data={"prometheus-password": pulumi.Output.secret(args.prometheus_password)},
            opts=self.child(),
        )
        certificate = args.authority.issue(self, name, args.namespace, [name], client=True)
        account = service_account(self, name, args.namespace)
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=rolling(
                Pod(
                    containers=[_server(args)],
                    service_account=account.metadata.name,
                    volumes=[
                        scripts_volume(self, f"{name}-scripts", args.namespace, SCRIPTS),
                        secret_volume("secrets", secret.metadata.name),
                        # The authority's certificate, which comes with one of its own; that it does not need.
                        secret_volume("tls", certificate, "ca.crt"),
                    ],
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                replicas=1,
            ),
            opts=self.child(),
        )

    def _service(self, name: str, args: StatusPageArgs, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: the entrance's route leads to it.
            metadata=self.metadata(args.namespace, name=name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[ServicePortArgs(name="http", port=args.port, target_port="http", protocol="TCP")],
            ),
            opts=self.child(),
        )


def _server(args: StatusPageArgs) -> Container:
    called = args.prometheus
    return Container(
        name="status",
        image=args.image,
        resources=args.resources,
        # Neither the machine's variables nor its folders; nothing is written, so no compiled files either.
        command=["python3", "-I", "-B"],
        args=[f"{_FOLDERS['scripts']}/status.py"],
        ports={"http": args.port},
        env={
            "PROMETHEUS_URL": pulumi.Output.concat(
                f"https://{called.name}.", called.namespace, f".svc:{called.port}"
            ),
            "PASSWORD_FILE": f"{_FOLDERS['secrets']}/prometheus-password",
            "CA_FILE": f"{_FOLDERS['tls']}/ca.crt",
            "SERVICES": json.dumps(dict(args.shown)),
            "TITLE": args.title,
            "PORT": str(args.port),
        },
        mounts=[
            VolumeMountArgs(name=volume, mount_path=folder, read_only=True)
            for volume, folder in _FOLDERS.items()
        ],
        liveness=http_probe(HEALTH, period_seconds=20, failure_threshold=6),
        readiness=http_probe(HEALTH, period_seconds=10, failure_threshold=3),
        drains=True,
    )
