"""The database: one PostgreSQL primary whose data survive it, and standbys to read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import pulumi
from pulumi_kubernetes.apps.v1 import (
    StatefulSet,
    StatefulSetOrdinalsArgs,
    StatefulSetSpecArgs,
    StatefulSetUpdateStrategyArgs,
)
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PersistentVolumeClaim,
    PersistentVolumeClaimArgs,
    PodTemplateSpecArgs,
    Secret,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from components.application.configuration import TLS_FOLDER as CALLER_TLS_FOLDER
from components.backup.repository import Mounted, Repository
from components.backup.repository_conf import SERVER_PORT
from components.backup.restore import Restore, reach_files
from components.base import Component, Identity
from components.data import alerts, postgres_backup, postgres_config, postgres_pod
from components.data.dashboard import dashboards
from components.network import Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority
from components.platform.credentials import Credential
from components.pods import Pod, Resources, hardened_pod
from components.statefulsets import HISTORY, single
from components.watch import Target, Watch, files

GRACE_SECONDS: Final = 300
"""A fast stop takes a moment; the rest is for the checkpoint that it ends with, on a slow disk."""


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    """One database.

    Attributes:
        identity: whose it is; the product's database is named after the product.
        namespace: where its pods run.
        image: the PostgreSQL image, with a tag; see images/postgres.
        exporter_image: the exporter's image, with a tag; see images/postgres-exporter.
        resources: what PostgreSQL may use; its configuration is derived from them.
        storage: the volume's size, as a binary Kubernetes quantity. It can grow, never shrink: the volume in
            place, and the bounds that follow from its size by a restart of seconds. Those of standbys stay
            as they are until they are made again.
        credentials: the password of each role: `postgres_config.GROUPS` and `SINGLE_ROLES`. A group's three
            values are all good at once. Of a single role only the current one is.
        authority: who signs its certificate. A renewal is taken up within minutes, without a restart.
        storage_class: the volumes' storage class; the cluster's default unless told.
        parameters: changes of PostgreSQL's parameters; see `postgres_config.ALLOWED`.
        max_connections: how many may be connected at a time.
        repository: where its WAL is archived and its backups are kept; there are none unless told.
        restore: what it is brought back to, once, from the repository: onto an empty volume or over what is
            there. Standbys are made again after it. See images/postgres, restore.sh.
        scram_iterations: how often a client hashes a generated password of the product's when it connects; 1
            where its driver takes that: docs/decisions/0016-scram-iterations.md.
        standbys: how many standbys there are to read from.
        first_standby: the number of the first one; raised when a volume of theirs has become the primary's.
        claim: a claim that stands already, for the primary to use instead of its own: after a promotion the
            promoted standby's, as in docs/runbooks/promote-a-standby.md.
        priority_class: the name of the pods' priority class.
        port: where PostgreSQL listens.
        metrics_port: where the exporter listens for HTTP.
        protect: refuses to delete the volume.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    exporter_image: pulumi.Input[str]
    resources: Resources
    storage: str
    credentials: Mapping[str, Credential]
    authority: Authority
    storage_class: pulumi.Input[str] | None = None
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    max_connections: int = 100
    repository: Repository | None = None
    restore: Restore | None = None
    scram_iterations: int = 4096
    standbys: int = 0
    first_standby: int = 0
    claim: str | None = None
    priority_class: pulumi.Input[str] | None = None
    port: int = postgres_config.PORT
    metrics_port: int = postgres_config.METRICS_PORT
    protect: bool = True


class Database(Component):
    """One PostgreSQL over TLS on a volume of its own, with its exporter, and any number of standbys.

    There is one primary, and nothing promotes a standby by itself: while the pod is replaced (a release, a
    drained node) clients wait and reconnect, and no commit that was acknowledged is lost. A primary that is
    lost for good is replaced by hand: docs/runbooks/promote-a-standby.md. It has no disruption budget: one
    that protects a single pod would block every drain of its node until somebody steps in.

    The passwords' Secret is changed in place where the provider allows that (`enable_secret_mutable`), and
    taken up within minutes without a restart; where it does not, a rotation rolls the pods.

    The volume outlives the pod and the StatefulSet. Those of standbys are made again from the primary.

    Raises:
        ValueError: a password is missing; a restore is told and no repository; or as
            `postgres_config.postgresql_conf`.
    """

    TYPE = "fixia:data:Database"

    service: pulumi.Output[str]
    """The primary's Service's name, which is also its DNS name within the namespace."""
    host: pulumi.Output[str]
    """The primary's DNS name within the cluster, for clients of other namespaces."""
    stateful_set: pulumi.Output[str]
    """The primary's StatefulSet's name in the cluster."""
    claim: pulumi.Output[str]
    """The name in the cluster of the claim of the volume that the primary uses."""
    database: str
    """The product's database."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        if missing := {*postgres_config.GROUPS, *postgres_config.SINGLE_ROLES} - args.credentials.keys():
            raise ValueError(f"the database needs a password for: {', '.join(sorted(missing))}")
        if args.restore and not args.repository:
            raise ValueError("a restore needs the repository that it comes from: database.repository")
        self._args = args
        self._standby = f"{name}-standby"
        self.database = postgres_config.database_name(args.identity.product)
        self.host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
        self._read_host = pulumi.Output.concat(name, "-read.", args.namespace, ".svc")
        self._standbys_host = pulumi.Output.concat(self._standby, ".", args.namespace, ".svc")
        self._pods = endpoint(args.identity, name, args.namespace, args.port)
        self._standby_pods = endpoint(args.identity, self._standby, args.namespace, args.port)

        self.endpoint = self.called_as("owner")
        self.metrics = replace(self._pods, name=f"{name}-metrics", port=args.metrics_port)
        self.read_endpoint: Endpoint | None = None
        self.standby_metrics: Endpoint | None = None
        self.backup_endpoint = replace(self._pods, name=f"{name}-backup", port=SERVER_PORT)

        config, secrets = self._config(name, args), self._secrets(name, args)
        self._repository = self._archive(name, args)
        tls = args.authority.issue(self, name, args.namespace, self._names(name, args))
        account = postgres_backup.account(self, name, args.namespace, args.repository)
        claim = self._claim(name, args).metadata.name
        self.claim = pulumi.Output.from_input(args.claim or claim)

        def pod(role: Literal["primary", "standby"], *more: VolumeArgs) -> Pod:
            server = self._server(role, args)
            told = postgres_pod.volumes(server, config=config, secrets=secrets, tls=tls)
            return Pod(
                containers=postgres_pod.containers(server),
                service_account=account,
                volumes=[*told, *more],
                spread=self._standby_pods.pods if role == "standby" else None,
                grace_seconds=GRACE_SECONDS,
                priority_class=args.priority_class,
            )

        self.stateful_set = self._primary(
            name, args, pod("primary", postgres_pod.claimed(self.claim))
        ).metadata.name
        self.service = self._service(name, "service", name, self._pods, args).metadata.name
        self._service(name, "headless-service", _headless(name), self._pods, args, headless=True)
        if args.standbys:
            self._standby_set(name, args, pod("standby"))
            self._reading(name, args)
        told = {name: self.metrics, self._standby: self.standby_metrics}
        self.watch = Watch(
            name=name,
            targets=[Target(job=job, endpoint=pods) for job, pods in told.items() if pods],
            alerts=alerts.DATABASE,
            boards=files(dashboards(), "fixia-database"),
        )
        self.finish()

    def called_as(self, role: str) -> Endpoint:
        """The primary, for one that calls it directly: not through the pool.

        Args:
            role: one of the groups, for its current login; or a role that logs in by itself.
        """
        return self._called(self._pods, self.host, role)

    def _called(self, pods: Endpoint, host: pulumi.Input[str], role: str) -> Endpoint:
        credential = self._args.credentials[role]
        grouped = role in postgres_config.GROUPS
        return replace(
            pods,
            config={
                "PGHOST": host,
                "PGPORT": str(self._args.port),
                "PGDATABASE": self.database,
                "PGUSER": postgres_config.login(role, credential.epoch) if grouped else role,
                "PGSSLROOTCERT": f"{CALLER_TLS_FOLDER}/ca.crt",
            },
            credentials={"pgpassword": credential},
            encrypted=True,
        )

    def _sizes(self, args: DatabaseArgs) -> postgres_config.Server:
        return postgres_config.Server(
            memory=args.resources.memory_limit,
            cpu=args.resources.cpu,
            storage=args.storage,
            database=self.database,
            port=args.port,
            max_connections=args.max_connections,
            parameters=args.parameters,
            archive_command=postgres_backup.ARCHIVE_COMMAND if args.repository else None,
        )

    def _archive(self, name: str, args: DatabaseArgs) -> Mounted | None:
        if args.repository is None:
            return None
        for pods in (self._pods, *([self._standby_pods] if args.standbys else [])):
            postgres_backup.allow(self, args.identity, args.repository, pods)
        return postgres_backup.files(
            self, name, args.namespace, args.repository, postgres_pod.LAYOUT, self._sizes(args)
        )

    def _config(self, name: str, args: DatabaseArgs) -> pulumi.Output[str]:
        """Immutable and named by the engine, so a change rolls the pods: most of it needs a restart."""
        server = self._sizes(args)
        config_map = ConfigMap(
            f"{name}-config",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data={
                "postgresql.conf": postgres_config.postgresql_conf(server),
                "pg_hba.conf": postgres_config.pg_hba_conf(self.database),
                **(reach_files() if args.repository else {}),
            },
            opts=self.child(),
        )
        return config_map.metadata.name

    def _secrets(self, name: str, args: DatabaseArgs) -> pulumi.Output[str]:
        """Not immutable: a password is changed in the running server, and nobody is sent away for it."""
        files: dict[str, pulumi.Input[str]] = {}
        for role in postgres_config.GROUPS:
            credential = args.credentials[role]
            files[f"{role}-epoch"] = str(credential.epoch)
            for file, value in credential.values(f"{role}-password").items():
                files[file] = value.apply(postgres_config.password)
        for role in postgres_config.SINGLE_ROLES:
            files[f"{role}-password"] = args.credentials[role].current.apply(postgres_config.password)
        written: pulumi.Output[dict[str, str]] = pulumi.Output.secret(pulumi.Output.all(**files))
        secret = Secret(
            f"{name}-secrets",
            metadata=self.metadata(args.namespace),
            type="Opaque",
            string_data=written,
            opts=self.child(),
        )
        return secret.metadata.name

    def _names(self, name: str, args: DatabaseArgs) -> list[pulumi.Input[str]]:
        """Every name that callers use; the exporter, in the same pod, checks the certificate as they do."""
        services = [name, *([f"{name}-read", self._standby] if args.standbys else [])]
        return [
            *(
                called
                for service in services
                for called in (
                    service,
                    pulumi.Output.concat(service, ".", args.namespace),
                    pulumi.Output.concat(service, ".", args.namespace, ".svc"),
                )
            ),
            "localhost",
        ]

    def _server(self, role: Literal["primary", "standby"], args: DatabaseArgs) -> postgres_pod.Server:
        return postgres_pod.Server(
            role=role,
            image=args.image,
            exporter_image=args.exporter_image,
            resources=args.resources,
            database=self.database,
            primary=self.host,
            standbys=self._standbys_host,
            port=args.port,
            metrics_port=args.metrics_port,
            scram_iterations=args.scram_iterations,
            repository=self._repository,
            restore=args.restore,
        )

    def _claim(self, name: str, args: DatabaseArgs) -> PersistentVolumeClaim:
        # Not one of the StatefulSet's own templates: they can't be changed without replacing it, and this one
        # can be protected, and grown in place.
        return PersistentVolumeClaim(
            f"{name}-data",
            metadata=self.metadata(args.namespace),
            spec=postgres_pod.claim_spec(args.storage, args.storage_class),
            opts=self.child(protect=args.protect),
        )

    def _primary(self, name: str, args: DatabaseArgs, pod: Pod) -> StatefulSet:
        return StatefulSet(
            f"{name}-stateful-set",
            metadata=self.metadata(args.namespace, name=name),
            spec=single(pod, self.metadata(), self._pods.pods, service=_headless(name)),
            opts=self.child(),
        )

    def _standby_set(self, name: str, args: DatabaseArgs, pod: Pod) -> StatefulSet:
        # Labels of their own: the primary's Service and policies must never find a standby.
        labels = args.identity.labels(self._standby, self.TYPE.split(":")[1])
        return StatefulSet(
            f"{name}-standby-stateful-set",
            metadata=self.metadata(args.namespace, name=self._standby),
            spec=StatefulSetSpecArgs(
                replicas=args.standbys,
                ordinals=StatefulSetOrdinalsArgs(start=args.first_standby) if args.first_standby else None,
                service_name=self._standby,
                selector=LabelSelectorArgs(match_labels=self._standby_pods.pods),
                update_strategy=StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
                pod_management_policy="Parallel",
                revision_history_limit=HISTORY,
                template=PodTemplateSpecArgs(metadata=ObjectMetaArgs(labels=labels), spec=hardened_pod(pod)),
                # A template will do: what is in it can be copied from the primary again.
                volume_claim_templates=[
                    PersistentVolumeClaimArgs(
                        metadata=ObjectMetaArgs(name="data", labels=labels),
                        spec=postgres_pod.claim_spec(args.storage, args.storage_class),
                    )
                ],
            ),
            opts=self.child(),
        )

    def _reading(self, name: str, args: DatabaseArgs) -> None:
        """Where standbys are found, and that they and the primary may call one another."""
        self.read_endpoint = self._called(
            replace(self._standby_pods, name=f"{name}-read"), self._read_host, "readonly"
        )
        self.standby_metrics = replace(
            self._standby_pods, name=f"{self._standby}-metrics", port=args.metrics_port
        )
        self._service(name, "read-service", f"{name}-read", self._standby_pods, args)
        self._service(name, "standby-service", self._standby, self._standby_pods, args, headless=True)
        for caller, callee in ((self._standby_pods, self._pods), (self._pods, self._standby_pods)):
            Connections(
                caller.name,
                ConnectionsArgs(identity=args.identity, caller=caller, talks_to=[callee]),
                opts=self.child(),
            )

    def _service(
        self, name: str, role: str, called: str, pods: Endpoint, args: DatabaseArgs, *, headless: bool = False
    ) -> Service:
        ports = {"postgresql": args.port, **({"metrics": args.metrics_port} if headless else {})}
        if args.repository and role == "service":
            ports["backup"] = SERVER_PORT
        return Service(
            f"{name}-{role}",
            # The name is fixed: clients call it, the certificate is for it, and a StatefulSet asks for it.
            metadata=self.metadata(args.namespace, name=called),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                cluster_ip="None" if headless else None,
                # A primary that starts asks every standby whether it was promoted, ready or not.
                publish_not_ready_addresses=True if headless else None,
                selector=dict(pods.pods),
                ports=[
                    ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                    for port, number in ports.items()
                ],
            ),
            opts=self.child(),
        )


def _headless(name: str) -> str:
    return f"{name}-headless"
