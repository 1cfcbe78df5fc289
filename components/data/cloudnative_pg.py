"""The database by an operator: CloudNativePG's Cluster and Pooler in the place of our own database and pool.

For those who outgrow one primary: the operator replaces a lost one by itself, within a minute. Nothing here
has been run with the operator; tests hold it against the definitions of its release 1.28. So try it on a
cluster of its own first. Data do not move by themselves: dump and restore, or `bootstrap.pg_basebackup`.
docs/decisions/0017-cloudnative-pg.md says what is not there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap, Secret
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.application.configuration import TLS_FOLDER as CALLER_TLS_FOLDER
from components.backup.repository import Repository, addresses
from components.backup.restore import Restore
from components.base import Component, Identity
from components.data import cloudnative_pg_alerts as alerts
from components.data import cloudnative_pg_backup, cloudnative_pg_network, pgbouncer_config, postgres_config
from components.data import cloudnative_pg_config as config
from components.data.maintenance import ROLE as MAINTENANCE
from components.network import Addresses, Endpoint
from components.platform.authority import Authority
from components.platform.credentials import Credential
from components.pods import Resources
from components.watch import Target, Watch

API: Final = "postgresql.cnpg.io/v1"
PORT: Final = 5432
"""Of the database and of the pool; the operator's own choice."""
METRICS_PORT: Final = 9187
POOL_METRICS_PORT: Final = 9127

WAIT: Final = "pulumi.com/waitFor"
"""The annotation that says when a custom resource counts as made: a release waits for that.

Source: https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/
"""


@dataclass(frozen=True, kw_only=True)
class CloudNativeDatabaseArgs:
    """One database and its pool.

    Attributes:
        identity: whose it is; the product's database is named after the product.
        namespace: where everything runs.
        image: a PostgreSQL image made for the operator, with a tag such as `17.6`.
        resources: what each instance may use.
        storage: each instance's volume, as a binary Kubernetes quantity; it can grow, never shrink.
        credentials: the password of each role: `postgres_config.GROUPS` and `maintenance`.
        authority: who signs the certificate of both.
        pool_image: a PgBouncer image made for the operator, with a tag.
        pool_resources: what each pod of the pool may use.
        budget: connections to PostgreSQL, of all pods of the pool together.
        api_server: the cluster's API server, which every one of these pods asks who it is.
        operator_namespace: where the operator runs.
        instances: the primary and its standbys; three survive the loss of a zone.
        pool_replicas: pods of the pool.
        clients: how many clients one pod of the pool takes.
        pool: the pool's name.
        parameters: changes of PostgreSQL's parameters; see `postgres_config.ALLOWED`.
        max_connections: how many may be connected at a time.
        storage_class: the volumes' storage class; the cluster's default unless told.
        priority_class: the name of the pods' priority class.
        repository: where it is backed up to; no backups unless told.
        restore: what a new Cluster is brought back to; one that is there is left alone.
        protect: refuses to delete the Cluster, and with it the volumes.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    storage: str
    credentials: Mapping[str, Credential]
    authority: Authority
    pool_image: pulumi.Input[str]
    pool_resources: Resources
    budget: int
    api_server: Addresses
    operator_namespace: str = "cnpg-system"
    instances: int = 3
    pool_replicas: int = 2
    clients: int = pgbouncer_config.CLIENTS
    pool: str = "pool"
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    max_connections: int = 100
    storage_class: pulumi.Input[str] | None = None
    priority_class: pulumi.Input[str] | None = None
    repository: Repository | None = None
    restore: Restore | None = None
    protect: bool = True


class CloudNativeDatabase(Component):
    """A CloudNativePG Cluster with a Pooler, called under the same names as `Database` and `Pool`.

    The operator is a prerequisite of the cluster and not installed from here. It owns the pods, so they are
    not the hardened ones; they pass the `restricted` level all the same. Their metrics are the operator's own
    (`cnpg_...`), which the alerts on PostgreSQL and PgBouncer do not know. Superusers have no password.

    A certificate, password or parameter that changes is taken up without a restart, where PostgreSQL can.
    Deleting the Cluster deletes its volumes. To restore: delete it, and make it again with `restore`.

    Raises:
        ValueError: a password is missing; or as `postgres_config.postgresql_conf` and
            `pgbouncer_config.server_connections` and `cloudnative_pg_backup.told`.
    """

    TYPE = "fixia:data:CloudNativeDatabase"

    service: pulumi.Output[str]
    """The primary's Service's name."""
    host: pulumi.Output[str]
    """The primary's DNS name within the cluster."""
    read_host: pulumi.Output[str]
    """The standbys' DNS name within the cluster; nobody answers there when there is one instance."""
    pool_host: pulumi.Output[str]
    """The pool's DNS name within the cluster."""
    database: str
    """The product's database."""

    def __init__(
        self, name: str, args: CloudNativeDatabaseArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.identity, opts)
        if missing := {*postgres_config.GROUPS, MAINTENANCE} - args.credentials.keys():
            raise ValueError(f"the database needs a password for: {', '.join(sorted(missing))}")
        self._args = args
        self.database = postgres_config.database_name(args.identity.product)
        self.service = pulumi.Output.from_input(name)
        self.host, self.read_host, self.pool_host = (
            pulumi.Output.concat(service, ".", args.namespace, ".svc")
            for service in (name, f"{name}-read", args.pool)
        )
        self._pods = self._found(name, {"cnpg.io/cluster": name, "cnpg.io/podRole": "instance"}, PORT)
        self._pool_pods = self._found(args.pool, {"cnpg.io/poolerName": args.pool}, PORT)
        self.endpoint = self.called_as("owner")
        self.read_endpoint = self._called(
            replace(self._pods, name=f"{name}-read"), self.read_host, "readonly"
        )
        self.pool_endpoint = self._called(self._pool_pods, self.pool_host, "app")
        self.metrics = replace(self._pods, name=f"{name}-metrics", port=METRICS_PORT)
        self.pool_metrics = replace(self._pool_pods, name=f"{args.pool}-metrics", port=POOL_METRICS_PORT)

        tls = args.authority.issue(self, name, args.namespace, self._names(name, args))
        backup = cloudnative_pg_backup.told(
            self,
            name,
            args.namespace,
            database=self.database,
            repository=args.repository,
            restore=args.restore,
        )
        cluster = self._cluster(name, args, tls, backup)
        if args.repository:
            cloudnative_pg_backup.schedule(self, name, args.namespace, cluster)
        self._pooler(name, args, cluster)
        cloudnative_pg_network.connect(
            self,
            args.identity,
            instances=self._pods,
            pool=self._pool_pods,
            api_server=args.api_server,
            operator_namespace=args.operator_namespace,
            archive=addresses(args.repository) if args.repository else None,
            recovers=args.restore is not None,
        )
        told = {name: self.metrics, args.pool: self.pool_metrics}
        self.watch = Watch(
            name=name,
            targets=[Target(job=job, endpoint=pods) for job, pods in told.items()],
            alerts=[*alerts.DATABASE, *alerts.POOLED, *(alerts.BACKED_UP if args.repository else ())],
        )
        self.finish()

    def called_as(self, role: str) -> Endpoint:
        """The primary, for one that calls it directly: not through the pool.

        Args:
            role: one of the groups, for its current login; or `maintenance`.
        """
        return self._called(self._pods, self.host, role)

    def metadata(
        self,
        namespace: pulumi.Input[str] | None = None,
        *,
        name: pulumi.Input[str] | None = None,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, pulumi.Input[str]] | None = None,
    ) -> ObjectMetaArgs:
        """As everywhere, and with the label that has the operator take up what changes in Secrets."""
        return super().metadata(
            namespace, name=name, labels={**(labels or {}), **config.RELOAD}, annotations=annotations
        )

    def _found(self, name: str, pods: Mapping[str, str], port: int) -> Endpoint:
        return Endpoint(name=name, namespace=self._args.namespace, pods=pods, port=port)

    def _called(self, pods: Endpoint, host: pulumi.Input[str], role: str) -> Endpoint:
        credential = self._args.credentials[role]
        login = postgres_config.login(role, credential.epoch) if role in postgres_config.GROUPS else role
        return replace(
            pods,
            config={
                "PGHOST": host,
                "PGPORT": str(PORT),
                "PGDATABASE": self.database,
                "PGUSER": login,
                "PGSSLROOTCERT": f"{CALLER_TLS_FOLDER}/ca.crt",
            },
            # Each value is the password of a login of its own; a caller uses one login.
            credentials={"pgpassword": Credential(current=credential.current, epoch=credential.epoch)},
            encrypted=True,
        )

    def _names(self, name: str, args: CloudNativeDatabaseArgs) -> list[pulumi.Input[str]]:
        """Every name that callers use; the pool shows the same certificate, and calls the first one."""
        services = [f"{name}-rw", name, f"{name}-read", args.pool]
        inside = [pulumi.Output.concat(service, ".", args.namespace) for service in services]
        return [*services, *inside, *(pulumi.Output.concat(each, ".svc") for each in inside)]

    def _cluster(
        self,
        name: str,
        args: CloudNativeDatabaseArgs,
        tls: pulumi.Input[str],
        backup: cloudnative_pg_backup.Told,
    ) -> CustomResource:
        sql = ConfigMap(
            f"{name}-sql",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data=config.sql(),
            opts=self.child(),
        )
        references = [{"name": sql.metadata.name, "key": file} for file in config.sql()]
        return CustomResource(
            f"{name}-cluster",
            api_version=API,
            kind="Cluster",
            # Fixed: its Services and volumes are named after it.
            metadata=self.metadata(
                args.namespace, name=name, annotations={WAIT: "condition=Ready", **backup.annotations}
            ),
            spec={
                "instances": args.instances,
                "imageName": args.image,
                # The primary comes last, and its standby takes over first: seconds instead of a restart.
                "primaryUpdateMethod": "switchover" if args.instances > 1 else "restart",
                "primaryUpdateStrategy": "unsupervised",
                "enableSuperuserAccess": False,
                # One that protects a single pod would block every drain of its node.
                "enablePDB": args.instances > 1,
                "storage": config.given(
                    size=args.storage, storageClass=args.storage_class, resizeInUseVolumes=True
                ),
                "resources": config.resources(args.resources),
                "postgresql": {
                    "parameters": {**self._parameters(args), **backup.parameters},
                    # Before the operator's last line, which takes a password without TLS too.
                    "pg_hba": [
                        f"hostssl {self.database} all all scram-sha-256",
                        "host all all all reject",
                    ],
                },
                "bootstrap": backup.bootstrap
                or {
                    "initdb": {
                        "database": self.database,
                        "owner": "owner",
                        "encoding": "UTF8",
                        "localeProvider": "builtin",
                        "builtinLocale": "C.UTF-8",
                        "locale": "C",
                        "dataChecksums": True,
                        "postInitApplicationSQLRefs": {"configMapRefs": references},
                    }
                },
                "certificates": {"serverTLSSecret": tls, "serverCASecret": tls},
                "managed": {"roles": self._roles(name, args), "services": config.services(name)},
                "monitoring": {"enablePodMonitor": False},
                "inheritedMetadata": {"labels": self._labels},
                "affinity": {
                    "enablePodAntiAffinity": True,
                    "podAntiAffinityType": "preferred",
                    "topologyKey": "topology.kubernetes.io/zone",
                },
                **config.given(priorityClassName=args.priority_class),
                **backup.spec,
            },
            opts=self.child(protect=args.protect),
        )

    def _parameters(self, args: CloudNativeDatabaseArgs) -> dict[str, str]:
        return config.parameters(
            postgres_config.Server(
                memory=args.resources.memory_limit,
                cpu=args.resources.cpu,
                storage=args.storage,
                database=self.database,
                max_connections=args.max_connections,
                parameters=args.parameters,
            )
        )

    def _roles(self, name: str, args: CloudNativeDatabaseArgs) -> list[dict[str, Any]]:
        """What the roles that `cloudnative_pg.sql` makes may do, and their passwords."""
        groups = [{"name": group, "ensure": "present", "login": False} for group in postgres_config.GROUPS]
        logins = []
        for group in postgres_config.GROUPS:
            credential = args.credentials[group]
            for offset, value in (
                (0, credential.current),
                (-1, credential.accepted.get("previous")),
                (1, credential.accepted.get("next")),
            ):
                if value is not None:
                    login = postgres_config.login(group, credential.epoch + offset)
                    logins.append(self._login(name, args, login, value, in_roles=[group]))
        password = args.credentials[MAINTENANCE].current
        member_of = ["pg_maintain", "pg_stat_scan_tables"]
        nightly = self._login(name, args, MAINTENANCE, password, in_roles=member_of)
        # The operator takes away a limit that it is not told.
        return [*groups, *logins, {**nightly, "connectionLimit": 5}]

    def _login(
        self,
        name: str,
        args: CloudNativeDatabaseArgs,
        role: str,
        password: pulumi.Output[str],
        *,
        in_roles: list[str],
    ) -> dict[str, Any]:
        checked: pulumi.Output[str] = pulumi.Output.secret(password.apply(postgres_config.password))
        secret = Secret(
            f"{name}-{role.replace('_', '-')}",
            metadata=self.metadata(args.namespace),
            type="kubernetes.io/basic-auth",
            string_data={"username": role, "password": checked},
            opts=self.child(),
        )
        return {
            "name": role,
            "ensure": "present",
            "login": True,
            "inRoles": in_roles,
            "passwordSecret": {"name": secret.metadata.name},
        }

    def _pooler(self, name: str, args: CloudNativeDatabaseArgs, cluster: CustomResource) -> None:
        container = {
            "name": "pgbouncer",
            "image": args.pool_image,
            "resources": config.resources(args.pool_resources),
            "securityContext": config.SECURITY,
        }
        spread = {
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 1,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": self._pool_pods.pods},
        }
        CustomResource(
            f"{name}-pooler",
            api_version=API,
            kind="Pooler",
            metadata=self.metadata(
                args.namespace,
                name=args.pool,
                annotations={WAIT: f"jsonpath={{.status.instances}}={args.pool_replicas}"},
            ),
            spec={
                "cluster": {"name": name},
                "type": "rw",
                "instances": args.pool_replicas,
                "pgbouncer": {
                    "poolMode": "transaction",
                    "parameters": config.pool_parameters(
                        args.budget, args.pool_replicas, database=self.database, clients=args.clients
                    ),
                },
                "monitoring": {"enablePodMonitor": False},
                "template": {
                    "metadata": {"labels": self._labels},
                    "spec": config.given(
                        containers=[container],
                        topologySpreadConstraints=[spread],
                        priorityClassName=args.priority_class,
                        terminationGracePeriodSeconds=120,
                    ),
                },
            },
            opts=self.child(depends_on=[cluster]),
        )
