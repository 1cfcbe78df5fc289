"""When backups are made and proven: one CronJob for each task, and a monitor that tells what came of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import (
    EmptyDirVolumeSourceArgs,
    Secret,
    ServiceAccount,
    VolumeArgs,
    VolumeMountArgs,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from components.application.configuration import TLS_FOLDER
from components.backup import alerts, repository_conf
from components.backup import repository as backup_repository
from components.backup.dashboard import dashboards
from components.backup.repository import Access, Mounted, Repository
from components.backup.tasks import FINAL, MONITOR, RPO_SECONDS, RTO_SECONDS, SCRIPTS, TASKS, Task
from components.base import Component, Identity
from components.data import postgres_config, postgres_pod
from components.deployments import rolling
from components.jobs import Job, Scratch, Work, cron_job
from components.network import Addresses, Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority, IssuerReference, KeptCertificate, issued
from components.platform.credentials import Credential
from components.pods import Container, Pod, Resources, command_probe, http_probe
from components.volumes import scripts_volume, secret_volume
from components.watch import Target, Watch, files

SCRIPTS_FOLDER: Final = "/etc/backup"
SECRETS_FOLDER: Final = "/run/secrets/backup"
METRICS_FOLDER: Final = "/run/metrics"
SCRATCH_FOLDER: Final = "/scratch"

METRICS_PORT: Final = 9188
LATE_BACKUP_SECONDS: Final = 26 * 3600
"""A day, and what a backup may take."""
GRACE_SECONDS: Final = 150
"""A job that is ended still writes into the repository how far it came, which a bad network makes slow."""

_MONITOR: Final = Resources(cpu="20m", memory="64Mi", memory_limit="256Mi")
_EXPORTER: Final = Resources(cpu="10m", memory="24Mi", memory_limit="64Mi")
MONITOR_CONTAINERS: Final = (_MONITOR, _EXPORTER)
"""What the monitor's pod asks for."""


@dataclass(frozen=True, kw_only=True)
class BackupsArgs:
    """The backups of one database.

    Attributes:
        identity: whose they are.
        namespace: where the jobs run that talk to the database.
        restore_namespace: where the jobs run that restore a copy, away from all else.
        image: what they run, with a tag; see images/backup.
        database: PostgreSQL itself, with PGHOST, PGPORT and PGDATABASE in its config.
        server: what hands out the database's files: `Database.backup_endpoint`.
        passwords: role -> its password, for every role that a task logs in as.
        authority: who signs the jobs' certificate, and has signed the database's.
        repository: where the backups are.
        storage: the size of the database's volume, as a binary Kubernetes quantity: so much scratch space
            has a task that restores it.
        storage_class: the storage class of such space; the cluster's default unless told.
        tasks: what is done when; the rows of `tasks.TASKS` unless told.
        promised_rpo_seconds: how much may be lost at most.
        promised_rto_seconds: how long a restore may take.
        priority_class: the name of the pods' priority class.
        metrics_port: where the monitor serves its metrics.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    restore_namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    database: Endpoint
    server: Endpoint
    passwords: Mapping[str, Credential]
    authority: Authority
    repository: Repository
    storage: str
    storage_class: pulumi.Input[str] | None = None
    tasks: Mapping[str, Task] = field(default_factory=lambda: TASKS)
    promised_rpo_seconds: int = RPO_SECONDS
    promised_rto_seconds: int = RTO_SECONDS
    priority_class: pulumi.Input[str] | None = None
    metrics_port: int = METRICS_PORT


class Backups(Component):
    """The jobs that back a database up, and prove it; each under an account of its own that may do so much.

    A job leaves nothing behind, however it ends: its files are the pod's own, a lock goes with its session,
    and of a backup that was cut off the next one uses what is there. What came of it is in the repository,
    where the monitor reads it; so it is known even when the cluster is gone.

    To run one now: `kubectl create job --from=cronjob/<name>-backup <another name>`.

    Raises:
        ValueError: a task logs in as a role whose password is missing.
    """

    TYPE = "fixia:backup:Backups"

    cron_jobs: dict[str, pulumi.Output[str]]
    """The CronJobs' names in the cluster, by task."""

    def __init__(self, name: str, args: BackupsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        tasks = {job: task for job, task in args.tasks.items() if args.repository.replica or not task.replica}
        roles = {task.role for task in tasks.values() if task.role}
        if missing := roles - args.passwords.keys():
            raise ValueError(f"backups need a password for: {', '.join(sorted(missing))}")
        self._args = args
        self._name = name
        self._scripts = scripts_volume(self, f"{name}-scripts", args.namespace, SCRIPTS)
        self._scripts_apart = scripts_volume(self, f"{name}-scripts-apart", args.restore_namespace, SCRIPTS)
        self._secrets = self._passwords(roles)
        self._tls = self._certificate()
        self.metrics = endpoint(args.identity, f"{name}-monitor", args.namespace, args.metrics_port)
        jobs = {job: self._job(job, task) for job, task in tasks.items()}
        self.cron_jobs = {
            job: cron_job(self, f"{name}-{job}", self._namespace(tasks[job]), told).metadata.name
            for job, told in jobs.items()
        }
        self.work: Mapping[str, Work] = jobs
        self._monitor()
        self.watch = Watch(
            name=name,
            # What it tells of is the database, not itself.
            targets=[Target(job=name, endpoint=self.metrics, honor_labels=True)],
            alerts=(*alerts.ARCHIVED, *alerts.MADE, *alerts.TESTED),
            boards=files(dashboards()),
        )
        self.finish()

    def _job(self, job: str, task: Task) -> Job:
        args, name = self._args, f"{self._name}-{job}"
        callees = [
            *([args.database] if task.role else []),
            *([args.server] if task.server else []),
        ]
        self._allow(name, callees, self._namespace(task))
        mounted = self._mounted(
            job,
            task.access,
            self._namespace(task),
            replica=task.replica,
            server=task.server,
            cpu=task.resources.cpu,
        )
        labels = args.identity.labels(name, self.TYPE.split(":")[1])
        scratch = self._scratch(task)
        pod = Pod(
            containers=[self._container(job, task, mounted, scratch)],
            service_account=self._account(job, task.access, labels, self._namespace(task)),
            volumes=[
                self._scripts_apart if task.apart else self._scripts,
                *([self._secrets] if task.role else []),
                *self._trusted(task),
                *mounted.volumes,
                *([scratch.volume(labels)] if scratch else []),
            ],
            restart_policy="Never",
            grace_seconds=GRACE_SECONDS,
            priority_class=args.priority_class,
        )
        return Job(
            schedule=task.schedule,
            deadline=task.deadline,
            pod=pod,
            retries=task.retries,
            suspended=task.suspended,
            final=FINAL,
            labels=labels,
        )

    def _namespace(self, task: Task) -> pulumi.Input[str]:
        return self._args.restore_namespace if task.apart else self._args.namespace

    def _container(self, job: str, task: Task, mounted: Mounted, scratch: Scratch | None) -> Container:
        args = self._args
        env: dict[str, pulumi.Input[str]] = {
            "JOB": job,
            "RPO_SECONDS": str(args.promised_rpo_seconds),
            "BACKUP_SECONDS": str(LATE_BACKUP_SECONDS),
            "DATABASE_NAME": args.database.config["PGDATABASE"],
            **task.env,
            **mounted.env,
        }
        mounts = [_mount("scripts", SCRIPTS_FOLDER), *mounted.mounts]
        if task.role:
            env |= {
                **{name: args.database.config[name] for name in ("PGHOST", "PGPORT", "PGDATABASE")},
                "PGUSER": self._login(task.role),
                "PGSSLMODE": "verify-full",
                "PGSSLROOTCERT": f"{TLS_FOLDER}/ca.crt",
                # A server that asks for the password itself would get it.
                "PGREQUIREAUTH": "scram-sha-256",
                "PGCONNECT_TIMEOUT": "10",
                "PGPASSWORD_FILE": f"{SECRETS_FOLDER}/{task.role}-password",
            }
            mounts.append(_mount("secrets", SECRETS_FOLDER))
        if task.role or task.server:
            mounts.append(_mount("tls", TLS_FOLDER))
        if scratch:
            env["SCRATCH"] = scratch.folder
            mounts.append(scratch.mount())
        return Container(
            name=job,
            image=args.image,
            resources=task.resources,
            command=["bash", f"{SCRIPTS_FOLDER}/{job}.sh"],
            env=env,
            mounts=mounts,
        )

    def _login(self, role: str) -> str:
        """A group logs in as one of its members."""
        if role in postgres_config.GROUPS:
            return postgres_config.login(role, self._args.passwords[role].epoch)
        return role

    def _scratch(self, task: Task) -> Scratch | None:
        if task.scratch is None:
            return None
        whole = task.scratch == "database"
        return Scratch(
            folder=SCRATCH_FOLDER,
            size=self._args.storage if whole else task.scratch,
            claimed=whole,
            storage_class=self._args.storage_class,
        )

    def _monitor(self) -> None:
        args, name = self._args, f"{self._name}-monitor"
        self._allow(name, [], args.namespace)
        mounted = self._mounted("monitor", "monitor", args.namespace)
        labels = args.identity.labels(name, self.TYPE.split(":")[1])
        replica = args.repository.replica
        looks = Container(
            name="monitor",
            image=args.image,
            resources=_MONITOR,
            command=["bash", f"{SCRIPTS_FOLDER}/monitor.sh"],
            env={
                "METRICS_FOLDER": METRICS_FOLDER,
                "MONITOR_SECONDS": str(MONITOR.look_seconds),
                "SIZE_SECONDS": str(MONITOR.size_seconds),
                "PROMISED_RPO_SECONDS": str(args.promised_rpo_seconds),
                "PROMISED_RTO_SECONDS": str(args.promised_rto_seconds),
                **({"REPLICA_BUCKET": replica.bucket} if replica else {}),
                **mounted.env,
            },
            mounts=[
                _mount("scripts", SCRIPTS_FOLDER),
                VolumeMountArgs(name="metrics", mount_path=METRICS_FOLDER),
                *mounted.mounts,
            ],
            liveness=command_probe(
                ["bash", f"{SCRIPTS_FOLDER}/monitor-alive.sh"], period_seconds=60, failure_threshold=10
            ),
        )
        serves = Container(
            name="exporter",
            image=args.image,
            resources=_EXPORTER,
            command=[
                "prometheus-node-exporter",
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={METRICS_FOLDER}",
                "--web.disable-exporter-metrics",
                f"--web.listen-address=:{args.metrics_port}",
            ],
            ports={"metrics": args.metrics_port},
            mounts=[_mount("metrics", METRICS_FOLDER)],
            liveness=http_probe("/", port="metrics", period_seconds=10, failure_threshold=3),
            readiness=http_probe("/", port="metrics", period_seconds=10, failure_threshold=3),
        )
        pod = Pod(
            containers=[looks, serves],
            service_account=self._account("monitor", "monitor", labels, args.namespace),
            volumes=[
                self._scripts,
                VolumeArgs(name="metrics", empty_dir=EmptyDirVolumeSourceArgs(size_limit="16Mi")),
                *mounted.volumes,
            ],
            priority_class=args.priority_class,
        )
        Deployment(
            name,
            # Fixed: runbooks and `make restore` name it.
            metadata=ObjectMetaArgs(name=name, namespace=args.namespace, labels=labels),
            spec=rolling(pod, ObjectMetaArgs(labels=labels), self.metrics.pods, replicas=1),
            opts=self.child(),
        )

    def _mounted(
        self,
        job: str,
        access: Access,
        namespace: pulumi.Input[str],
        *,
        replica: bool = False,
        server: bool = False,
        cpu: str = "1",
    ) -> Mounted:
        args = self._args
        more: pulumi.Input[str] = ""
        if server:
            more = repository_conf.client_conf(
                host=args.database.config["PGHOST"],
                data_folder=postgres_pod.DATA_FOLDER,
                tls=TLS_FOLDER,
                # Half of the time is spent waiting for the network.
                processes=2 * postgres_config.cpus(cpu),
                retention_days=args.repository.retention_days,
            )
        return backup_repository.mounted(
            self, f"{self._name}-{job}", namespace, args.repository, access, more=more, replica=replica
        )

    def _account(
        self, job: str, access: Access, labels: Mapping[str, str], namespace: pulumi.Input[str]
    ) -> pulumi.Output[str]:
        account = ServiceAccount(
            f"{self._name}-{job}-account",
            # Fixed: the trust of the role that it takes says it.
            metadata=ObjectMetaArgs(
                name=backup_repository.account_name(access),
                namespace=namespace,
                labels=dict(labels),
            ),
            automount_service_account_token=False,
            opts=self.child(),
        )
        return account.metadata.name

    def _allow(self, name: str, callees: list[Endpoint], namespace: pulumi.Input[str]) -> None:
        args = self._args
        told: list[Endpoint | Addresses] = [*callees, backup_repository.addresses(args.repository)]
        Connections(
            name,
            ConnectionsArgs(
                identity=args.identity,
                caller=endpoint(args.identity, name, namespace, args.metrics_port),
                talks_to=told,
            ),
            opts=self.child(),
        )

    def _passwords(self, roles: set[str]) -> VolumeArgs:
        files = {f"{role}-password": self._args.passwords[role].current for role in sorted(roles)}
        written: pulumi.Output[dict[str, str]] = pulumi.Output.secret(pulumi.Output.all(**files))
        secret = Secret(
            f"{self._name}-secrets",
            metadata=self.metadata(self._args.namespace),
            immutable=True,
            type="Opaque",
            string_data=written,
            opts=self.child(),
        )
        return secret_volume("secrets", secret.metadata.name)

    def _certificate(self) -> pulumi.Output[str]:
        """The certificate that may take backups; the database's server knows it by its subject."""
        authority = self._args.authority
        certificate = KeptCertificate(
            name=self._name,
            issuer=IssuerReference(name=authority.issuer, kind="ClusterIssuer"),
            secret=f"{self._name}-tls",
            dns_names=[self._name],
            common_name=repository_conf.CLIENT,
            usages=("digital signature", "client auth"),
        )
        return issued(self, f"{self._name}-certificate", self._args.namespace, certificate, needs=[authority])

    def _trusted(self, task: Task) -> list[VolumeArgs]:
        if not (task.role or task.server):
            return []
        # Its key opens all of the database's files: it stays away from who only needs to trust the server.
        return [secret_volume("tls", self._tls, *(() if task.server else ("ca.crt",)))]


def _mount(name: str, folder: str) -> VolumeMountArgs:
    return VolumeMountArgs(name=name, mount_path=folder, read_only=True)
