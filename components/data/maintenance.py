"""What a database needs at night: vacuum, fresh indexes, and a report of what nobody looks at every day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import (
    Secret,
    VolumeArgs,
    VolumeMountArgs,
)

from components.application.configuration import TLS_FOLDER
from components.base import Component, Identity
from components.data import alerts
from components.jobs import Job, cron_job
from components.network import Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority
from components.platform.credentials import Credential
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources
from components.volumes import scripts_volume, secret_volume
from components.watch import Watch

SCRIPTS: Final = Path(__file__).parent / "scripts" / "maintenance"
SCRIPTS_FOLDER: Final = "/etc/maintenance"
SECRETS_FOLDER: Final = "/run/secrets/maintenance"

ROLE: Final = "maintenance"
"""A member of `pg_maintain`; what it may do beyond is in images/postgres, 40-maintenance.sql."""

JOBS: Final = ("vacuum", "reindex", "report")

_HOUR: Final = 3600
PSQL: Final = Resources(cpu="50m", memory="32Mi", memory_limit="128Mi")


@dataclass(frozen=True, kw_only=True)
class Night:
    """When one job runs and how long, all in UTC and seconds.

    Attributes:
        schedule: five fields of cron.
        deadline: when it is ended, whatever it does; counted over all its tries.
        work: how long one statement may take; for the rebuilds, all of them together.
        patience: how long it waits for the others' end.
    """

    schedule: str
    deadline: int
    work: int
    patience: int = 0


NIGHTS: Final[Mapping[str, Night]] = {
    "vacuum": Night(schedule="0 2 * * *", deadline=4 * _HOUR, work=2 * _HOUR, patience=_HOUR),
    # The last rebuild ends before the report, which is weekly for cron's sake and monthly by its script.
    "reindex": Night(schedule="0 3 * * 0", deadline=9000, work=8100, patience=_HOUR),
    "report": Night(schedule="30 5 * * 0", deadline=1800, work=600, patience=600),
}
"""Everything is over at six: a vacuum that the backup holds up, too."""


@dataclass(frozen=True, kw_only=True)
class MaintenanceArgs:
    """The maintenance of one database.

    Attributes:
        identity: whose it is.
        namespace: where the jobs run.
        image: one with `psql`, with a tag; see images/postgres.
        database: PostgreSQL itself, with PGHOST, PGPORT and PGDATABASE in its config: no pool, which would
            give each transaction another session, and a session's lock to somebody else.
        password: the role `maintenance`'s.
        authority: who has signed the database's certificate.
        backup_grace_seconds: how long the vacuum lets a backup that is due then begin; 0 when there is none.
        nights: when each of `JOBS` runs.
        resources: what a job may use; the work itself is done in the database.
        priority_class: the name of the pods' priority class.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    database: Endpoint
    password: Credential
    authority: Authority
    backup_grace_seconds: int = 600
    nights: Mapping[str, Night] = field(default_factory=lambda: NIGHTS)
    resources: Resources = PSQL
    priority_class: pulumi.Input[str] | None = None


class Maintenance(Component):
    """A CronJob each for `JOBS`: vacuum each day, rebuilt indexes each Sunday, a report each month.

    Backup, vacuum and rebuilds take one advisory lock (5432, 1), so they come one after the other in whatever
    order they are started. At 02:00 the vacuum lets the backup begin, then waits for its end. None of them
    makes a user wait: their locks conflict with neither reads nor writes, or are given up within a second.

    A job that is killed leaves nothing on the server within seconds, but maybe half an index, which the next
    rebuild drops. To run one now: `kubectl create job --from=cronjob/<name>-vacuum`.

    Whether they succeed is read off the cluster (kube-state-metrics) and not off a table that they write:
    that also tells of a job that never started, or never reached the database. What they did is in their
    logs, a line of JSON for each finding or index.
    """

    TYPE = "fixia:data:Maintenance"

    cron_jobs: dict[str, pulumi.Output[str]]
    """The CronJobs' names in the cluster, by job."""

    def __init__(self, name: str, args: MaintenanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        Connections(
            name,
            ConnectionsArgs(
                identity=args.identity,
                caller=endpoint(args.identity, name, args.namespace, args.database.port),
                talks_to=[args.database],
            ),
            opts=self.child(),
        )
        account = service_account(self, name, args.namespace).metadata.name
        scripts = scripts_volume(self, f"{name}-scripts", args.namespace, SCRIPTS)
        volumes = [scripts, self._password(name, args), self._authority(name, args)]
        self.cron_jobs = {
            job: self._cron_job(name, job, args, account, volumes).metadata.name for job in JOBS
        }
        self.watch = Watch(name=name, alerts=alerts.NIGHTLY)
        self.finish()

    def _password(self, name: str, args: MaintenanceArgs) -> VolumeArgs:
        password: pulumi.Output[str] = pulumi.Output.secret(args.password.current)
        secret = Secret(
            f"{name}-secrets",
            metadata=self.metadata(args.namespace),
            immutable=True,
            type="Opaque",
            string_data={"password": password},
            opts=self.child(),
        )
        return secret_volume("secrets", secret.metadata.name)

    def _authority(self, name: str, args: MaintenanceArgs) -> VolumeArgs:
        # Whoever trusts the authority has a certificate of it; its key has no use here, and stays away.
        secret = args.authority.issue(self, name, args.namespace, [name], client=True)
        return secret_volume("tls", secret, "ca.crt")

    def _cron_job(
        self,
        name: str,
        job: str,
        args: MaintenanceArgs,
        account: pulumi.Input[str],
        volumes: list[VolumeArgs],
    ) -> CronJob:
        night = args.nights[job]
        pod = Pod(
            containers=[_container(job, night, args)],
            service_account=account,
            volumes=volumes,
            restart_policy="Never",
            priority_class=args.priority_class,
        )
        # What was done before a retry is not done again.
        told = Job(schedule=night.schedule, deadline=night.deadline, pod=pod)
        return cron_job(self, f"{name}-{job}", args.namespace, told)


def _container(job: str, night: Night, args: MaintenanceArgs) -> Container:
    where = {name: args.database.config[name] for name in ("PGHOST", "PGPORT", "PGDATABASE")}
    return Container(
        name=job,
        image=args.image,
        resources=args.resources,
        command=["sh", f"{SCRIPTS_FOLDER}/{job}.sh"],
        env={
            **where,
            "PGUSER": ROLE,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": f"{TLS_FOLDER}/ca.crt",
            # A server that asks for the password itself would get it.
            "PGREQUIREAUTH": "scram-sha-256",
            "PGCONNECT_TIMEOUT": "10",
            "PGPASSWORD_FILE": f"{SECRETS_FOLDER}/password",
            "JOB": job,
            "GRACE_SECONDS": str(args.backup_grace_seconds),
            "PATIENCE_SECONDS": str(night.patience),
            "WORK_SECONDS": str(night.work),
        },
        mounts=[
            VolumeMountArgs(name=name, mount_path=folder, read_only=True)
            for name, folder in (
                ("scripts", SCRIPTS_FOLDER),
                ("secrets", SECRETS_FOLDER),
                ("tls", TLS_FOLDER),
            )
        ],
    )
