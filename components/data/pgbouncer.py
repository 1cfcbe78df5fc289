"""The pool: few connections to PostgreSQL, shared by many clients."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import (
    Deployment,
)
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    EmptyDirVolumeSourceArgs,
    Secret,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
)

from components.application.configuration import TLS_FOLDER as CALLER_TLS_FOLDER
from components.application.scaling import disruption_budget
from components.base import Component, Identity
from components.data import alerts
from components.data import pgbouncer_config as config
from components.deployments import rolling
from components.network import Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority
from components.platform.credentials import Credential
from components.platform.service_account import service_account
from components.pods import (
    ENDPOINT_REMOVAL_SECONDS,
    Container,
    Pod,
    Resources,
    command_probe,
    http_probe,
)
from components.volumes import config_volume, secret_volume
from components.watch import Target, Watch

SCRIPTS_FOLDER: Final = "/etc/pool-scripts"
SECRETS_FOLDER: Final = "/run/secrets/pool"
CONSOLE_FOLDER: Final = "/run/pgbouncer"

CHECK_SECONDS: Final = 10
GRACE_SECONDS: Final = 120
FINISH_SECONDS: Final = 30
"""Of the grace, for the transactions that still run when clients are no longer waited for."""
DRAIN_SECONDS: Final = GRACE_SECONDS - ENDPOINT_REMOVAL_SECONDS - FINISH_SECONDS

_SIDECAR: Final = Resources(cpu="10m", memory="32Mi", memory_limit="64Mi")

SIDECARS: Final = (_SIDECAR, _SIDECAR)
"""What the pod asks for beside its server."""


@dataclass(frozen=True, kw_only=True)
class PooledDatabase:
    """What is behind the pool.

    Attributes:
        host: PostgreSQL's DNS name, which its certificate is for.
        port: its port.
        name: the database's name.
        endpoint: its pods.
    """

    host: pulumi.Input[str]
    port: int
    name: str
    endpoint: Endpoint


@dataclass(frozen=True, kw_only=True)
class PoolArgs:
    """One pool.

    Attributes:
        identity: whose it is.
        namespace: where its pods run.
        image: the PgBouncer image, 1.23 or newer, with a tag; see images/pgbouncer.
        exporter_image: the exporter's image, with a tag; see images/pgbouncer-exporter.
        resources: what PgBouncer may use; it has one thread, and takes about 25 KB for each client.
        replicas: how many pods, two or more.
        database: what it connects to.
        app: the login that callers use, one of three by its epoch: `app_0`, `app_1`, `app_2`.
        pooler: PgBouncer's own login; one line.
        budget: connections to PostgreSQL, of all pods together at any time.
        authority: who signs its certificate and PostgreSQL's.
        priority_class: the name of its pods' priority class.
        port: where PgBouncer listens for TLS.
        metrics_port: where the exporter listens for HTTP.
        clients: how many clients one pod takes at a time.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    exporter_image: pulumi.Input[str]
    resources: Resources
    replicas: int
    database: PooledDatabase
    app: Credential
    pooler: Credential
    budget: int
    authority: Authority
    priority_class: pulumi.Input[str] | None = None
    port: int = config.PORT
    metrics_port: int = config.METRICS_PORT
    clients: int = config.CLIENTS


class Pool(Component):
    """PgBouncer over TLS on both sides, in transaction pooling, with its exporter.

    What a running pod takes up by itself, within two minutes and with every client still connected: settings,
    connection budget, PgBouncer's own password, a renewed certificate or authority. For that its ConfigMap
    and Secret keep their names and change in place, unlike everybody else's: a roll would have each client
    connect anew, and give nothing for it. Image, ports, scripts and resources roll the pods. Files that
    PgBouncer would not start with are not taken up, which the log of `keep` says.

    Passwords of logins are PostgreSQL's alone: PgBouncer asks it at each login, so a new one is good at once.

    A pod that stops is no longer found, serves the clients that it has until they leave, and after a minute
    and a half ends what is left, each after its transaction. So a client that keeps its connections should
    renew them within a minute (`maxLifetimeSeconds` of node-postgres). While PostgreSQL is away, who asks is
    told so at once, and a second after it is back it is used again; for a planned restart the console's PAUSE
    and RESUME make queries wait. A cancel request may reach another pod than the query and do nothing;
    PostgreSQL's statement timeout is what bounds a query.

    It keeps nothing: to restore it is to start it.

    Raises:
        ValueError: fewer than two replicas, or a budget that does not suffice for them.
    """

    TYPE = "fixia:data:Pool"

    deployment: pulumi.Output[str]
    """The Deployment's name in the cluster."""
    host: pulumi.Output[str]
    """Its DNS name within the cluster, for clients of other namespaces."""
    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""

    def __init__(self, name: str, args: PoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        if args.replicas < 2:
            raise ValueError(f"{args.replicas} replicas: nothing is left while one is replaced; at least 2")
        self.host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
        self.endpoint = replace(
            endpoint(args.identity, name, args.namespace, args.port),
            config={
                "PGHOST": self.host,
                "PGPORT": str(args.port),
                "PGDATABASE": args.database.name,
                "PGUSER": f"app_{args.app.epoch % 3}",
                "PGSSLROOTCERT": f"{CALLER_TLS_FOLDER}/ca.crt",
            },
            # Each value is the password of a login of its own; the callers use one login.
            credentials={"pgpassword": Credential(current=args.app.current, epoch=args.app.epoch)},
            encrypted=True,
        )
        self.metrics = replace(
            self.endpoint,
            name=f"{name}-metrics",
            port=args.metrics_port,
            config={},
            credentials={},
            encrypted=False,
        )
        selector = self.endpoint.pods
        self.deployment = self._deployment(name, args, selector).metadata.name
        self.service = self._service(name, args, selector).metadata.name
        disruption_budget(self, name, args.namespace, selector=selector)
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=[args.database.endpoint]),
            opts=self.child(),
        )
        self.watch = Watch(name=name, targets=[Target(job=name, endpoint=self.metrics)], alerts=alerts.POOLED)
        self.finish()

    def _deployment(self, name: str, args: PoolArgs, selector: Mapping[str, str]) -> Deployment:
        account = service_account(self, name, args.namespace)
        return Deployment(
            f"{name}-deployment",
            metadata=self.metadata(args.namespace, name=name),
            spec=rolling(
                Pod(
                    containers=[_pgbouncer(args), _keep(args), _exporter(args)],
                    service_account=account.metadata.name,
                    volumes=[*self._told(name, args), self._signed(name, args), *_own()],
                    grace_seconds=GRACE_SECONDS,
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                replicas=args.replicas,
            ),
            opts=self.child(),
        )

    def _told(self, name: str, args: PoolArgs) -> list[VolumeArgs]:
        """Its scripts, which roll the pods, and its settings and password, which change in place."""
        scripts = ConfigMap(
            f"{name}-scripts",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data=config.scripts(),
            opts=self.child(),
        )
        connections = config.server_connections(args.budget, config.pods_at_once(args.replicas))
        password: pulumi.Output[str] = pulumi.Output.secret(args.pooler.current.apply(config.password_file))
        settings, secret = f"{name}-config", f"{name}-secrets"
        # Both by fixed names, and the pods name them without waiting: a new object under the old name must
        # not look like another one to the Deployment. A pod that is earlier waits.
        ConfigMap(
            settings,
            metadata=self.metadata(args.namespace, name=settings),
            data=pulumi.Output.from_input(args.database.host).apply(
                lambda host: config.config_files(
                    connections,
                    host=host,
                    port=args.database.port,
                    database=args.database.name,
                    listen_port=args.port,
                    clients=args.clients,
                )
            ),
            opts=self.child(),
        )
        Secret(
            secret,
            metadata=self.metadata(args.namespace, name=secret),
            type="Opaque",
            string_data={f"{config.USER}-password": password},
            opts=self.child(),
        )
        return [
            config_volume("scripts", scripts.metadata.name),
            config_volume("config", settings),
            secret_volume("secrets", secret),
        ]

    def _signed(self, name: str, args: PoolArgs) -> VolumeArgs:
        # The last is the readiness probe's, which checks the certificate as the clients do.
        inside = pulumi.Output.concat(name, ".", args.namespace)
        secret = args.authority.issue(self, name, args.namespace, [name, inside, self.host, "localhost"])
        return secret_volume("tls", secret)

    def _service(self, name: str, args: PoolArgs, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: clients call it, and the certificate is for it.
            metadata=self.metadata(args.namespace, name=name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[
                    ServicePortArgs(name="pgbouncer", port=args.port, target_port="pgbouncer", protocol="TCP")
                ],
            ),
            opts=self.child(),
        )


def _own() -> list[VolumeArgs]:
    """The pod's own folders: its login's password, in memory alone, and the console's socket."""
    return [
        VolumeArgs(name="state", empty_dir=EmptyDirVolumeSourceArgs(medium="Memory", size_limit="1Mi")),
        VolumeArgs(name="console", empty_dir=EmptyDirVolumeSourceArgs(medium="Memory", size_limit="1Mi")),
    ]


def _mounts(*names: str) -> list[VolumeMountArgs]:
    paths = {
        "scripts": SCRIPTS_FOLDER,
        "config": config.CONFIG_FOLDER,
        "secrets": SECRETS_FOLDER,
        "tls": config.TLS_FOLDER,
        "state": config.STATE_FOLDER,
        "console": CONSOLE_FOLDER,
    }
    return [
        # Whole folders, never single files: those would stay as they were when a file changes.
        VolumeMountArgs(name=name, mount_path=paths[name], read_only=name not in ("state", "console") or None)
        for name in names
    ]


def _pgbouncer(args: PoolArgs) -> Container:
    probe = ["sh", f"{SCRIPTS_FOLDER}/probe.sh"]
    return Container(
        name="pgbouncer",
        image=args.image,
        resources=args.resources,
        command=["sh", f"{SCRIPTS_FOLDER}/start.sh"],
        ports={"pgbouncer": args.port},
        env={"POOL_PORT": str(args.port), "DRAIN_SECONDS": str(DRAIN_SECONDS)},
        mounts=_mounts("scripts", "config", "secrets", "tls", "state", "console"),
        startup=command_probe([*probe, "alive"], period_seconds=2, failure_threshold=30),
        # Two questions at most, of four seconds each.
        readiness=command_probe([*probe, "ready"], period_seconds=5, failure_threshold=3, timeout_seconds=9),
        liveness=command_probe([*probe, "alive"], period_seconds=10, failure_threshold=6),
        drains=True,
    )


def _keep(args: PoolArgs) -> Container:
    return Container(
        name="keep",
        image=args.image,
        resources=_SIDECAR,
        command=["sh", f"{SCRIPTS_FOLDER}/keep.sh"],
        env={"POOL_PORT": str(args.port), "CHECK_SECONDS": str(CHECK_SECONDS)},
        mounts=_mounts("scripts", "config", "secrets", "tls", "state", "console"),
    )


def _exporter(args: PoolArgs) -> Container:
    return Container(
        name="exporter",
        image=args.exporter_image,
        resources=_SIDECAR,
        command=["sh", f"{SCRIPTS_FOLDER}/exporter.sh"],
        args=[
            f"--web.listen-address=:{args.metrics_port}",
            # PgBouncer's process is another container's, and not to be seen from here.
            "--pgBouncer.pid-file=",
        ],
        ports={"metrics": args.metrics_port},
        env={
            "POOL_PORT": str(args.port),
            "PGBOUNCER_EXPORTER_CONNECTION_STRING": config.exporter_address(args.port),
        },
        mounts=_mounts("scripts", "console"),
        # Its own health, not PgBouncer's: that is what `pgbouncer_up` is for.
        liveness=http_probe("/", port="metrics", period_seconds=10, failure_threshold=3),
        readiness=http_probe("/", port="metrics", period_seconds=10, failure_threshold=3),
    )
