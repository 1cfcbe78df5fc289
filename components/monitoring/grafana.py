"""Grafana: what the platform's metrics look like, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    ConfigMapProjectionArgs,
    ConfigMapVolumeSourceArgs,
    EmptyDirVolumeSourceArgs,
    KeyToPathArgs,
    ProjectedVolumeSourceArgs,
    Secret,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeProjectionArgs,
)
from pulumi_random import RandomPassword

from components.base import Component, Identity
from components.deployments import rolling
from components.monitoring import grafana_config as config
from components.monitoring.grafana_config import CONTENT_SECURITY_POLICY, PORT, SignOn, Sources, Told
from components.network import INTERNET, Addresses, Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, http_probe
from components.volumes import secret_volume
from components.watch import Alert, Target, Watch

__all__ = ["CONTENT_SECURITY_POLICY", "PORT", "Grafana", "GrafanaArgs", "SignOn", "Sso", "alerts"]

_PASSWORD_LENGTH: Final = 40
_MOST_BYTES: Final = 2**20
"""What a ConfigMap may hold. Source: https://kubernetes.io/docs/concepts/configuration/configmap/"""


@dataclass(frozen=True, kw_only=True)
class Sso:
    """Who else says who somebody is.

    Attributes:
        sign_on: the other side: OAuth 2 with OpenID Connect, on port 443 of the public internet.
        client_secret: what Grafana shows it.
    """

    sign_on: SignOn
    client_secret: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class GrafanaArgs:
    """One Grafana.

    Attributes:
        identity: whose it is.
        namespace: where its pod runs.
        image: the Grafana image, 12 or newer, with a tag.
        resources: what it may use; of 13 somebody has measured 330 MiB at rest, with alerts and more plugins
            than here: https://github.com/grafana/grafana/issues/123017.
        prometheus: what the boards ask.
        prometheus_password: of the user `platform` there.
        authority: who vouches for the servers that it asks.
        boards: file name, ending in `.json` -> a dashboard.
        alertmanager: where silences are seen.
        alertmanager_password: of the user `platform` there.
        logs: Loki, if there is one.
        traces: Jaeger, if there is one: where it is asked.
        host: the DNS name by which browsers reach it, over the entrance; by port-forward alone unless told.
        sso: who else says who somebody is; the administrator alone signs in unless told.
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
    boards: Mapping[str, str]
    alertmanager: Endpoint | None = None
    alertmanager_password: pulumi.Input[str] | None = None
    logs: Endpoint | None = None
    traces: Endpoint | None = None
    host: str | None = None
    sso: Sso | None = None
    priority_class: pulumi.Input[str] | None = None
    port: int = PORT

    def __post_init__(self) -> None:
        """Refuses what Grafana would not start with, or Kubernetes not take."""
        if (self.alertmanager is None) != (self.alertmanager_password is None):
            raise ValueError("Alertmanager and its password come together: give both or neither")
        if strange := sorted(name for name in self.boards if not name.endswith(".json") or "/" in name):
            raise ValueError(f"{', '.join(strange)}: a board's file is named <uid>.json, without a folder")
        for name, board in self.boards.items():
            if (size := len(board.encode())) > _MOST_BYTES:
                raise ValueError(f"{name} has {size} bytes; a ConfigMap takes {_MOST_BYTES}: make two boards")


class Grafana(Component):
    """One pod of Grafana whose every datasource and board is in this repository; nobody changes them there.

    It keeps nothing: its database is in an `emptyDir` and written anew at each start, so that a lost pod
    costs nothing but that people sign in again. To restore it is to start it. A change of a board, a password
    or a setting is a new pod, which starts before the old one stops; the way back is the release before.

    Who reaches its port is said by network policy: the entrance, which speaks plain HTTP to pods like to
    every workload, and Prometheus. Prometheus and Alertmanager are asked over TLS, by password. A new key of
    the authority is taken up at the next start: `kubectl rollout restart`.

    Grafana's server can't be had where this repository's tests run: they hold what it is told and how its pod
    is made, not that it starts.

    Raises:
        ValueError: one of Alertmanager and its password is missing; a board's name or size will not do.
    """

    TYPE = "fixia:monitoring:Grafana"

    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""
    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    secret: pulumi.Output[str]
    """The Secret's name in the cluster; its `admin-password` is the user `admin`'s."""

    def __init__(self, name: str, args: GrafanaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.endpoint = endpoint(args.identity, name, args.namespace, args.port)
        self.watch = watched(name, args.identity, args.namespace, args.port)
        selector = self.endpoint.pods
        secret = self._secret(name, args)
        self.secret = secret.metadata.name
        self.deployment = self._deployment(name, args, selector, secret).metadata.name
        self.service = self._service(name, args, selector).metadata.name
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=_callees(args)),
            opts=self.child(),
        )
        self.finish()

    def _secret(self, name: str, args: GrafanaArgs) -> Secret:
        made = {
            of: RandomPassword(
                f"{name}-{of}", length=_PASSWORD_LENGTH, special=False, opts=self.child()
            ).result
            for of in ("admin-password", "secret-key")
        }
        known: dict[str, pulumi.Input[str]] = {**made, "prometheus-password": args.prometheus_password}
        if args.alertmanager_password is not None:
            known["alertmanager-password"] = args.alertmanager_password
        if args.sso:
            known["sso-client-secret"] = args.sso.client_secret
        return Secret(
            f"{name}-secrets",
            metadata=self.metadata(args.namespace),
            immutable=True,
            type="Opaque",
            string_data={file: pulumi.Output.secret(value) for file, value in known.items()},
            opts=self.child(),
        )

    def _deployment(
        self, name: str, args: GrafanaArgs, selector: Mapping[str, str], secret: Secret
    ) -> Deployment:
        told = config.told(
            Sources(
                prometheus=_address(args.prometheus),
                alertmanager=_address(args.alertmanager) if args.alertmanager else None,
                logs=_address(args.logs) if args.logs else None,
                traces=_address(args.traces) if args.traces else None,
            ),
            root_url=f"https://{args.host}/" if args.host else None,
            has_home=config.HOME in args.boards,
            sign_on=args.sso.sign_on if args.sso else None,
            port=args.port,
        )
        account = service_account(self, name, args.namespace)
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=rolling(
                Pod(
                    containers=[_grafana(args, told)],
                    service_account=account.metadata.name,
                    volumes=[
                        self._config(name, args, told),
                        self._boards(name, args),
                        secret_volume("secrets", secret.metadata.name, *told.secrets),
                        self._trusted(name, args),
                        VolumeArgs(name="data", empty_dir=EmptyDirVolumeSourceArgs(size_limit="1Gi")),
                    ],
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                # Each has accounts and sessions of its own: a second would send people back to sign in.
                replicas=1,
            ),
            opts=self.child(),
        )

    def _config(self, name: str, args: GrafanaArgs, told: Told) -> VolumeArgs:
        config_map = ConfigMap(
            f"{name}-config",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data={config.key(file): content for file, content in told.files.items()},
            opts=self.child(),
        )
        # One volume with folders in it: a volume below another's would need a folder that is there.
        items = [KeyToPathArgs(key=config.key(file), path=file) for file in told.files]
        source = ConfigMapVolumeSourceArgs(name=config_map.metadata.name, items=items)
        return VolumeArgs(name="config", config_map=source)

    def _boards(self, name: str, args: GrafanaArgs) -> VolumeArgs:
        """Each in a ConfigMap of its own, for all together may be too large for one; in one folder."""
        sources = []
        for file, board in sorted(args.boards.items()):
            config_map = ConfigMap(
                f"{name}-board-{file.removesuffix('.json')}",
                metadata=self.metadata(args.namespace),
                immutable=True,
                data={file: board},
                opts=self.child(),
            )
            projected = ConfigMapProjectionArgs(name=config_map.metadata.name)
            sources.append(VolumeProjectionArgs(config_map=projected))
        return VolumeArgs(name="boards", projected=ProjectedVolumeSourceArgs(sources=sources))

    def _trusted(self, name: str, args: GrafanaArgs) -> VolumeArgs:
        """The authority's certificate, and one of its own, which it shows to who keeps logs and traces."""
        secret = args.authority.issue(self, name, args.namespace, [name], client=True)
        own = ("tls.crt", "tls.key") if args.logs or args.traces else ()
        return secret_volume("tls", secret, "ca.crt", *own)

    def _service(self, name: str, args: GrafanaArgs, selector: Mapping[str, str]) -> Service:
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


def watched(name: str, identity: Identity, namespace: pulumi.Input[str], port: int = PORT) -> Watch:
    """How a Grafana is watched, also before it is made: by the Prometheus that it will ask.

    Args:
        name: the component's name.
        identity: whose it is.
        namespace: where its pod runs.
        port: where it listens.
    """
    metrics = replace(endpoint(identity, name, namespace, port), name=f"{name}-metrics")
    return Watch(name=name, targets=[Target(job=name, endpoint=metrics)], alerts=alerts(name))


def alerts(job: str) -> Sequence[Alert]:
    """What somebody is told of it.

    Args:
        job: the job that its metrics are collected as.
    """
    return (
        Alert(
            name="GrafanaDown",
            expression=f'up{{job="{job}"}} == 0 or absent(up{{job="{job}"}})',
            minutes=10,
            severity="P3",
            summary="Grafana does not answer: nobody sees the boards; alerts are told all the same",
            runbook="docs/runbooks/grafana-down.md",
        ),
    )


def _callees(args: GrafanaArgs) -> list[Endpoint | Addresses]:
    asked = [args.prometheus, args.alertmanager, args.logs, args.traces]
    return [*(callee for callee in asked if callee), *([INTERNET] if args.sso else [])]


def _address(callee: Endpoint) -> pulumi.Output[str]:
    """How it is called: its Service has its name."""
    scheme = "https" if callee.encrypted else "http"
    return pulumi.Output.concat(f"{scheme}://{callee.name}.", callee.namespace, f".svc:{callee.port}")


def _grafana(args: GrafanaArgs, told: Told) -> Container:
    folders = {
        "config": config.CONFIG_FOLDER,
        "boards": config.BOARDS_FOLDER,
        "secrets": config.SECRETS_FOLDER,
        "tls": config.TLS_FOLDER,
        "data": config.DATA_FOLDER,
    }
    return Container(
        name="grafana",
        image=args.image,
        resources=args.resources,
        # Without the image's script, whose variables would win over the files.
        command=["grafana", "server"],
        args=[
            "--homepath=/usr/share/grafana",
            f"--config={config.CONFIG_FOLDER}/grafana.ini",
            "--packaging=docker",
        ],
        ports={"http": args.port},
        env=told.environment,
        mounts=[
            VolumeMountArgs(name=name, mount_path=folder, read_only=name != "data" or None)
            for name, folder in folders.items()
        ],
        # The first start of each pod makes the database.
        startup=http_probe("/api/health", period_seconds=2, failure_threshold=90),
        readiness=http_probe("/api/health", period_seconds=5, failure_threshold=3),
        liveness=http_probe("/healthz", period_seconds=10, failure_threshold=6),
        drains=True,
    )
