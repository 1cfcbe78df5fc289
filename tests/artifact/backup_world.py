"""A database that is backed up, without a cluster: its pod, an S3 over TLS, and what the jobs run.

    with backup_world(tmp_path) as world:               # S3 is up; the database is not
        with world.database.serving() as server:        # PostgreSQL, reconciler and backup server
            world.archiving(server)                     # waits until WAL reaches the repository
            ended = world.tool("backup", "pgbackrest", "--stanza=main", "info")     # any program, as a job's pod
            ended.code, ended.text, ended.lines
            ended = world.job("backup", TODAY="7")      # a CronJob's container, by its recorded spec
            world.result("backup")                      # what it wrote into the repository
            world.metrics()                             # what the monitor says then: {'name{label="x"}': value}
        world.store                                     # tests.artifact.s3.S3: faults, calls, files
        world.repository                                # components.backup.repository.Repository, static keys
        world.pod(**changes)                            # another pod of the same repository: a new volume, ...

`who` (database, backup, monitor, ...) is also the S3 user: `world.store.user(who)[0]` is its access key.
Buckets: `BUCKET`, and `REPLICA`, which nobody replicates to: copy `store.path(BUCKET)` with `world.replicate()`.
"""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import pulumi
from pulumi_kubernetes.core.v1 import Pod as CorePod
from pulumi_kubernetes.core.v1 import VolumeArgs, VolumeMountArgs

from components.backup import repository as backup_repository
from components.backup import repository_conf
from components.backup.repository import Access, Mounted, Place, Repository, StaticKeys
from components.backup.schedule import Backups, BackupsArgs
from components.base import Component, Identity
from components.data import postgres_config, postgres_pod
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Container as PodContainer
from components.pods import Pod, Resources, hardened_pod
from simulator.images.container import Container
from tests.artifact.database_pod import DATABASE, EPOCH, DatabasePod, password
from tests.artifact.pod import RecordedPod, eventually, free_port, readable_by_the_pod, sign
from tests.artifact.s3 import REGION, S3, s3
from tests.recorder import Recording, record

BUCKET, REPLICA = "fixia-backups", "fixia-backups-copy"
CIPHER = "correct-horse-battery-staple"
IDENTITY = Identity(product="fixia", environment="test", owner="o", cost_centre="c")
CLIENT_TLS = "/run/secrets/backup-tls"


@dataclass(frozen=True)
class Ended:
    """What came of a program."""

    code: int
    text: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of JSON that it has printed."""
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]

    def of(self, event: str) -> list[dict[str, Any]]:
        """Those that tell of one event."""
        return [line for line in self.lines if line.get("event") == event]

    @property
    def json(self) -> Any:
        """All that was said, as one value."""
        return json.loads(self.text)


def credential(value: str) -> Credential:
    return Credential(current=pulumi.Output.secret(value))


class BackupWorld:
    """See the module."""

    def __init__(self, folder: Path, store: S3, **changes: Any) -> None:
        self.folder, self.store = folder, store
        self.repository = self.repository_with()
        self.database = self.pod(**changes)

    def repository_with(self, *, bucket: str = BUCKET, cipher: str = CIPHER, **keys: str) -> Repository:
        """The repository, or what a mistake makes of it.

        Args:
            bucket: the bucket's name.
            cipher: the passphrase.
            keys: who -> another secret key than the right one.
        """
        access = {}
        for who in get_args(Access):
            key, secret = self.store.user(who)
            access[who] = StaticKeys(key=credential(key), secret=credential(keys.get(who, secret)))

        def place(name: str) -> Place:
            return Place(
                bucket=name,
                region=REGION,
                endpoint=self.store.endpoint,
                path_style=True,
                authority=self.store.authority,
            )

        return Repository(
            place=place(bucket), replica=place(REPLICA), cipher=credential(cipher), access=access
        )

    def pod(self, name: str = "database", **changes: Any) -> DatabasePod:
        """A database's pod with a volume of its own.

        Args:
            name: its folder.
            changes: of the component's arguments.
        """
        given = {"repository": self.repository, **changes}
        return DatabasePod(self.folder / name, authority=self.folder / "authority", **given)

    def archiving(self, server: Container, pod: DatabasePod | None = None) -> None:
        """Wait until all WAL so far is in the repository."""
        asked = pod or self.database
        (segment,) = asked.root(server, "SELECT pg_walfile_name(pg_switch_wal())")

        def archived() -> bool:
            last, failing = asked.root(
                server,
                "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver",
                "SELECT failed_count > 0 FROM pg_stat_archiver",
            )
            if last[8:24] >= segment[8:24]:
                return True
            if failing == "t":
                # After three failures PostgreSQL waits a minute, or until there is another segment.
                asked.root(server, "SELECT pg_switch_wal()")
                time.sleep(1)
            return False

        eventually(archived, f"{segment} is archived", 180)

    def replicate(self) -> None:
        """Copy the bucket to its replica, as the storage does in the background."""
        subprocess.run(
            ["cp", "-a", "--update", f"{self.store.path(BUCKET)}/.", self.store.path(REPLICA)], check=True
        )

    def tool(
        self,
        who: Access,
        *command: str,
        repository: Repository | None = None,
        replica: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Ended:
        """Run a program of images/backup to its end, with the repository's files as one of its users has them.

        Args:
            who: as whom.
            command: the program and its arguments.
            repository: another one than the right one.
            replica: whether its copy is meant.
            env: more environment variables.
            timeout: seconds.
        """
        with self.tooling(who, *command, repository=repository, replica=replica, env=env) as (running, log):
            return Ended(running.wait(timeout), log.read_text(errors="replace"))

    def recording(self, repository: Repository | None = None, **changes: Any) -> Recording:
        """The jobs' objects.

        Args:
            repository: another one than the right one.
            changes: of the component's arguments.
        """
        return record(
            lambda: Backups("backups", self.args(repository or self.repository, **changes)) and None
        )

    def args(self, repository: Repository, **changes: Any) -> BackupsArgs:
        """What the component is told."""
        port = self.database.port
        config = {"PGHOST": "localhost", "PGPORT": str(port), "PGDATABASE": DATABASE}
        pods = endpoint(IDENTITY, "database", "fixia-data", port)
        roles = (*postgres_config.GROUPS, *postgres_config.SINGLE_ROLES)
        given: dict[str, Any] = {
            "identity": IDENTITY,
            "namespace": "fixia-data",
            "restore_namespace": "fixia-restore",
            "image": "backup",
            "database": replace(pods, config=config),
            "server": replace(pods, name="database-backup", port=repository_conf.SERVER_PORT),
            "passwords": {role: replace(credential(password(role)), epoch=EPOCH) for role in roles},
            "authority": Authority("authority", AuthorityArgs(identity=IDENTITY)),
            "repository": repository,
            "storage": "4Gi",
        }
        return BackupsArgs(**{**given, **changes})

    def job(
        self, job: str, *, repository: Repository | None = None, timeout: float = 300, **env: str
    ) -> Ended:
        """Run one of the CronJobs to its end.

        Args:
            job: its name.
            repository: another one than the right one.
            timeout: seconds.
            env: environment variables, also instead of its own.
        """
        with self.started(job, repository=repository, **env) as (running, log):
            return Ended(running.wait(timeout), log.read_text(errors="replace"))

    @contextmanager
    def started(
        self, job: str, *, repository: Repository | None = None, **env: str
    ) -> Iterator[tuple[Container, Path]]:
        """The same, while it runs; gives also its log."""
        recording = self.recording(repository)
        cron_job = recording.one("kubernetes:batch/v1:CronJob", f"backups-{job}").inputs
        spec = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        pod = self.recorded(job, recording, spec, env)
        with pod.run(job) as running:
            yield running, pod.folder / f"{job}.log"

    def recorded(
        self, name: str, recording: Recording, spec: dict[str, Any], env: Mapping[str, str]
    ) -> RecordedPod:
        """A pod of any recording, with the jobs' certificate and further variables of its environment."""
        folder = self.folder / f"{name}-{len(list(self.folder.glob(f'{name}-*')))}"
        folder.mkdir()
        pod = RecordedPod(folder, recording, spec)
        if "tls" in pod.volumes:
            self.certify(pod.volumes["tls"])
        told = {"PGBACKREST_PG1_HOST_PORT": str(self.database.backup_port), **env}
        for container in pod.containers.values():
            others = [each for each in container.get("env", []) if each["name"] not in told]
            container["env"] = others + [{"name": key, "value": value} for key, value in told.items()]
        return pod

    def result(self, job: str) -> dict[str, Any]:
        """What a job has written of itself."""
        found: dict[str, Any] = json.loads((self.store.path(BUCKET) / "results" / f"{job}.json").read_text())
        return found

    @contextmanager
    def monitor(self, *, repository: Repository | None = None, **env: str) -> Iterator["Monitor"]:
        """Run the monitor and its exporter."""
        recording = self.recording(repository, metrics_port=free_port())
        spec = recording.one("kubernetes:apps/v1:Deployment", "backups-monitor").inputs["spec"]
        told = {"MONITOR_SECONDS": "1", "SIZE_SECONDS": "0", **env}
        pod = self.recorded("monitor", recording, spec["template"]["spec"], told)
        exporter = pod.containers["exporter"]
        port = int(exporter["ports"][0]["containerPort"])
        exporter["command"] = [
            word.replace(f"address=:{port}", f"address=127.0.0.1:{port}") for word in exporter["command"]
        ]
        with pod.run("monitor") as running, pod.run("exporter"):
            yield Monitor(pod, running, port)

    def metrics(self, *, repository: Repository | None = None, **env: str) -> dict[str, float]:
        """What the monitor's exporter serves after a look at the repository as it is now."""
        with self.monitor(repository=repository, **env) as monitor:
            return monitor.fresh()

    @contextmanager
    def tooling(
        self,
        who: Access,
        *command: str,
        repository: Repository | None = None,
        replica: bool = False,
        env: Mapping[str, str] | None = None,
        image: str = "backup",
    ) -> Iterator[tuple[Container, Path]]:
        """The same, while it runs; gives also its log."""
        repository = repository or self.repository
        folder = self.folder / f"tool-{len(list(self.folder.glob('tool-*')))}"
        folder.mkdir()
        client = repository_conf.client_conf(
            host="localhost",
            data_folder=postgres_pod.DATA_FOLDER,
            tls=CLIENT_TLS,
            processes=2,
            retention_days=repository.retention_days,
        )
        recording = record(
            lambda: _Tool(who, repository, client, list(command), image, replica=replica) and None
        )
        spec = recording.one("kubernetes:core/v1:Pod", "tool-pod").inputs["spec"]
        pod = RecordedPod(folder, recording, spec)
        self.certify(pod.volumes["tls"])
        pod.containers["tool"]["env"] += [
            {"name": name, "value": value}
            for name, value in {
                "PGBACKREST_PG1_HOST_PORT": str(self.database.backup_port),
                **(env or {}),
            }.items()
        ]
        with pod.run("tool") as running:
            yield running, folder / "tool.log"

    def certify(self, folder: Path, name: str = repository_conf.CLIENT) -> None:
        """Write the certificate that takes backups."""
        readable_by_the_pod(folder)
        sign(folder, self.folder / "authority", names=("localhost",), subject=name)


class Monitor:
    """The monitor while it runs."""

    def __init__(self, pod: RecordedPod, container: Container, port: int) -> None:
        self.pod, self.container, self.port = pod, container, port

    def text(self) -> str:
        """What Prometheus would read."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            read: str = answer.read().decode()
            return read

    def metrics(self) -> dict[str, float]:
        """Each sample by its name and labels; empty as long as nothing is served."""
        try:
            lines = self.text().splitlines()
        except OSError:
            return {}
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def fresh(self) -> dict[str, float]:
        """The samples of a look that began after this call."""
        refreshed = "backup_monitor_last_refresh_timestamp_seconds"
        first = self.metrics().get(refreshed, 0)

        times: set[float] = set()

        def looked() -> dict[str, float] | None:
            assert self.container.poll() is None, self.pod.log("monitor")
            found = self.metrics()
            times.add(found.get(refreshed, 0))
            # The look that is under way may have begun before; the one after it has not.
            return found if len(times - {first, 0}) > 1 else None

        return eventually(looked, "the monitor has looked", 90)


class _Tool(Component):
    """A pod that uses the repository, and runs what a test wants."""

    TYPE = "fixia:test:Tool"

    def __init__(
        self,
        who: Access,
        repository: Repository,
        client: pulumi.Output[str],
        command: Sequence[str],
        image: str,
        *,
        replica: bool,
    ) -> None:
        super().__init__("tool", IDENTITY, None)
        mounted: Mounted = backup_repository.mounted(
            self, "tool", "fixia-data", repository, who, more=client, replica=replica
        )
        tls = VolumeMountArgs(name="tls", mount_path=CLIENT_TLS, read_only=True)
        container = PodContainer(
            name="tool",
            image=image,
            resources=Resources(cpu="1", memory="64Mi", memory_limit="512Mi"),
            command=command,
            env=mounted.env,
            mounts=[*mounted.mounts, tls],
        )
        volumes = [*mounted.volumes, VolumeArgs(name="tls")]
        spec = hardened_pod(Pod(containers=[container], service_account="tool", volumes=volumes))
        CorePod("tool-pod", metadata=self.metadata("fixia-data"), spec=spec, opts=self.child())
        self.finish()


@contextmanager
def backup_world(folder: Path, **changes: Any) -> Iterator[BackupWorld]:
    """A repository and a database's pod, which does not run yet.

    Args:
        folder: for everything; it is readable by the pod's user afterwards.
        changes: of the database's arguments.
    """
    with ExitStack() as stack:
        store = stack.enter_context(s3(folder / "s3", [BUCKET, REPLICA]))
        yield BackupWorld(folder, store, **changes)
