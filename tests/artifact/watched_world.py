"""What the platform is made of, watched as it is: real programs, real exporters, the components' own rules.

The one thing that is not as in production is time. Prometheus looks each second instead of every 30; at the
database's exporter each 4 seconds, because it tries for more than 2 before it says that the database is down. Of
the rules that the components write `hastened` divides by 60

- how long an alert must hold (`for`),
- the windows and offsets that expressions look back (`[5m]`, `offset 7d`),
- the ages in `AGED`, which would have to pass in a test.

Every other threshold, and every label, severity and runbook, is the components'. Alertmanager's waits are a
moment, as `alertmanager_world` has them.
"""

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from signal import Signals
from typing import Any, Final
from unittest.mock import patch

import pulumi
import yaml

from components.backup import alerts as backup_alerts
from components.data import alerts as data_alerts
from components.ingress import alerts as ingress_alerts
from components.monitoring import alertmanager_alerts, slo, watches
from components.monitoring.application_alerts import at_entrance
from components.monitoring.blackbox import Blackbox, BlackboxArgs
from components.monitoring.prometheus_config import Probe
from components.network import endpoint
from components.pods import Resources
from components.watch import Alert, Target, Watch
from simulator.images.container import Bind, Container, run_in
from tests.artifact import alertmanager_world, entrance_world, pool_world
from tests.artifact.alertmanager_world import AlertmanagerPod
from tests.artifact.cache_pod import ROOT as CACHE_ROOT
from tests.artifact.cache_pod import CachePod
from tests.artifact.database_pod import DatabasePod
from tests.artifact.pod import RecordedPod, eventually, free_port, openssl, readable_by_the_pod, system
from tests.artifact.prometheus_pod import IDENTITY, NAMESPACE, PrometheusPod, Server, names, probing
from tests.recorder import record

FACTOR: Final = 60
"""What takes a minute in production takes a second here."""
AGED: Final = ("ArchiveBehind", "DatabaseTransactionTooLong", "QueueStuck")
"""Alerts whose threshold, the last number of the expression, is an age in seconds that really has to pass."""

PATIENCE, DAY = 90.0, 86400
DATA: Final = "fixia-data"
ARCHIVE_CLOSED: Final = "/tmp/archive-closed"
SETTINGS: Final = ("max_connections=40", "deadlock_timeout=100ms", "archive_mode=on", "archive_timeout=1s")
"""Of the database: a small one, whose archive takes everything unless a file is there."""
ARCHIVE_COMMAND: Final = f"archive_command=test ! -e {ARCHIVE_CLOSED}"
DATABASE: Final = [word for setting in (*SETTINGS, ARCHIVE_COMMAND) for word in ("-c", setting)]
TRUSTED: Final = "/etc/ssl/certs/ca-certificates.crt"

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
_LOOKED_BACK: Final = re.compile(
    r'"[^"]*"|(?<=\[)\d+[smhdw](?=[]:])|(?<=:)\d+[smhdw](?=])|(?<=offset )\d+[smhdw]\b'
)
"""Windows, steps and offsets; and texts, so that nothing is found within them."""


def shortened(duration: str, factor: int) -> str:
    """A duration of Prometheus, divided; a text stays as it is."""
    if duration.startswith('"'):
        return duration
    return f"{int(duration[:-1]) * _UNITS[duration[-1]] * 1000 // factor}ms"


def hastened(told: Mapping[str, Any], factor: int = FACTOR) -> dict[str, Any]:
    """A file of rules whose times are divided; nothing else of it is changed.

    Args:
        told: as Prometheus reads it.
        factor: by what `for`, windows, offsets and the ages of `AGED` are divided.
    """

    def faster(rule: Mapping[str, Any]) -> dict[str, Any]:
        new = dict(rule)
        new["expr"] = _LOOKED_BACK.sub(lambda found: shortened(found[0], factor), rule["expr"])
        if "for" in rule:
            new["for"] = shortened(rule["for"], factor)
        if rule.get("alert") in AGED:
            age = re.compile(r"(?<=> )\d+$")
            assert age.search(new["expr"]), rule
            new["expr"] = age.sub(lambda found: f"{int(found[0]) / factor:g}", new["expr"])
        return new

    return {
        "groups": [{**group, "rules": [faster(rule) for rule in group["rules"]]} for group in told["groups"]]
    }


def certified(file: Path, *hosts: str, days: int, authority: Path | None = None) -> None:
    """Write a certificate, by an authority or by itself, and its key beside it."""
    made: list[str | Path] = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]
    if authority:
        made += ["-CA", authority / "ca.crt", "-CAkey", authority / "ca.key"]
    names = "subjectAltName=" + ",".join(f"DNS:{host}" for host in hosts)
    openssl(*made, "-days", str(days), "-subj", f"/CN={hosts[0]}", "-addext", names,
            "-keyout", f"{file}.key", "-out", file)  # fmt: skip


class StandIn:
    """Tells metrics of what does not run here: name and labels -> value."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.server = Server(lambda _path, _headers: (200, self.text()))

    def text(self) -> str:
        return "".join(f"{name} {value}\n" for name, value in self.metrics.items())


class Watched:
    """See the module."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.running: dict[str, Container] = {}
        self.around = stack.enter_context(alertmanager_world.world(folder))
        self.elsewhere, self.spare = StandIn(), StandIn()
        self.site_status = 200
        known = {
            f"alertmanager-headless.{NAMESPACE}.svc.cluster.local": ("127.0.0.1", "127.0.0.2"),
            f"blackbox.{NAMESPACE}.svc.cluster.local": ("127.0.0.1",),
            "site.test": ("127.0.0.1",),
        }
        stack.enter_context(names(folder, known))
        self._data()
        self._backup()
        self._site()
        self._entrance()
        self._others()
        self._monitoring()

    # --- what is watched

    def _data(self) -> None:
        self.database = DatabasePod(self.folder / "database")
        self.database.set_env("reconciler", CHECK_SECONDS="1", BEAT_SECONDS="1")
        self.start("database", self.database, "postgresql", *DATABASE)
        self.start("reconciler", self.database, "reconciler")
        self.database.ready(self.running["database"])
        self.start("database-exporter", self.database, "exporter")
        (self.folder / "pool").mkdir()
        self.pooled, self.pool = self.stack.enter_context(pool_world.world(self.folder / "pool"))
        self.begin_pool()
        self.start("pool-exporter", self.pool, "exporter", command=["prometheus-pgbouncer-exporter"])
        (self.folder / "cache").mkdir()
        self.cache = CachePod(self.folder / "cache", "64Mi")
        self.running["cache"], _ = self.stack.enter_context(self.cache.serving(*CACHE_ROOT))
        self.start("cache-exporter", self.cache, "exporter", command=["prometheus-redis-exporter"])

    def begin_database(self) -> None:
        self.start("database", self.database, "postgresql", *DATABASE)
        self.database.ready(self.running["database"])

    def begin_pool(self) -> None:
        self.running["pool"] = self.stack.enter_context(self.pool.serving())

    def begin_cache(self) -> None:
        self.start("cache", self.cache, "valkey", *CACHE_ROOT)
        self.cache.connected(self.running["cache"]).close()

    def _backup(self) -> None:
        """The monitor's exporter with its own arguments; what the monitor would write is `backups`."""
        self.backup_port, self.backup_metrics = free_port(), self.folder / "backup-metrics"
        self.backup_metrics.mkdir()
        self.backups()
        command = ["prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile"]
        command += ["--collector.textfile.directory=/metrics", "--web.disable-exporter-metrics"]
        command += [f"--web.listen-address=127.0.0.1:{self.backup_port}"]
        binds = [Bind(source=self.backup_metrics, target="/metrics")]
        self.stack.enter_context(run_in(system("backup"), command, binds=binds))

    def backups(self, **other: float) -> None:
        """Write what the monitor knows: all is well, but for what is told; a name has `_job_` and no labels."""
        now = time.time()
        jobs = ("backup", "freshness", "restore-test", "drill", "dump", "snapshot")
        metrics = {
            'backup_last_success_timestamp_seconds{type="full"}': now,
            'backup_last_success_timestamp_seconds{type="incr"}': now,
            'backup_last_error{type="full"}': 0,
            "backup_verified": 1,
            "backup_archive_gaps": 0,
            "backup_repository_up": 1,
            "backup_monitor_last_refresh_timestamp_seconds": now,
            "backup_replica_lag_seconds": 0,
            'backup_measured_rpo_seconds{job="restore-test"}': 60,
            'backup_measured_rto_seconds{job="restore-test"}': 60,
            "backup_promised_rpo_seconds": 300,
            "backup_promised_rto_seconds": 1800,
            **{f'backup_job_success{{job="{job}"}}': 1 for job in jobs},
            **{f'backup_job_last_success_timestamp_seconds{{job="{job}"}}': now for job in jobs},
        }
        for name, value in other.items():
            found = [each for each in metrics if re.sub(r"\W+", "_", each).strip("_").startswith(name)]
            assert found, name
            metrics |= dict.fromkeys(found, value)
        new = self.backup_metrics / ".new"
        new.write_text("".join(f"{name} {value}\n" for name, value in metrics.items()))
        readable_by_the_pod(new)
        new.replace(self.backup_metrics / "monitor.prom")

    def _site(self) -> None:
        """A public site by HTTPS, and the blackbox exporter that asks it."""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certify_site(days=90)
        self.site = Server(lambda _path, _headers: (self.site_status, "hello"))
        server = self.site._server
        server.socket = self._tls.wrap_socket(server.socket, server_side=True)
        self.stack.enter_context(self.site)
        self.blackbox_port = free_port()
        args = BlackboxArgs(
            identity=IDENTITY,
            namespace=NAMESPACE,
            image="blackbox-exporter",
            resources=Resources(cpu="10m", memory="32Mi", memory_limit="64Mi"),
            port=self.blackbox_port,
        )
        recording = record(lambda: Blackbox("blackbox", args) and None)
        deployment = recording.one("kubernetes:apps/v1:Deployment", "blackbox-deployment").inputs
        (self.folder / "blackbox").mkdir()
        pod = RecordedPod(self.folder / "blackbox", recording, deployment["spec"]["template"]["spec"])
        container = pod.containers["blackbox"]
        container["args"] = [word.replace("address=:", "address=127.0.0.1:") for word in container["args"]]
        # The world that it trusts is the test's own.
        pod.volumes["trusted"] = self.around.authority / "ca.crt"
        container["volumeMounts"].append({"name": "trusted", "mountPath": TRUSTED, "readOnly": True})
        self.start("blackbox", pod, "blackbox", command=["prometheus-blackbox-exporter"])

    def certify_site(self, *, days: int) -> None:
        """Have the site show another certificate from now on."""
        certified(self.folder / "site.crt", "site.test", days=days, authority=self.around.authority)
        self._tls.load_cert_chain(self.folder / "site.crt", self.folder / "site.crt.key")

    def _entrance(self) -> None:
        self.upstream = self.stack.enter_context(entrance_world.upstream("first"))

        def lasting(folder: Path, name: str, hosts: Sequence[str]) -> tuple[Path, Path]:
            # That of the other tests ends in two days, which is an alert of its own.
            file = folder / f"{name}.crt"
            certified(file, *hosts, days=90)
            return file, Path(f"{file}.key")

        folder, program = self.folder / "entrance", entrance_world.traefik()
        with patch.object(entrance_world, "certificate", lasting):
            self.entrance = self.stack.enter_context(
                entrance_world.world(program, folder, [self.upstream], timeout_seconds=60)
            )

    def _others(self) -> None:
        self.elsewhere.metrics = {
            'certmanager_certificate_ready_status{namespace="fixia-app",name="api",condition="True"}': 1,
            self.certificate: time.time() + 60 * DAY,
            'queue_oldest_waiting_seconds{namespace="fixia-app"}': 0,
        }
        self.spare.metrics = {"spare": 1}
        self.stack.enter_context(self.elsewhere.server)
        self.stack.enter_context(self.spare.server)

    certificate: Final = (
        'certmanager_certificate_expiration_timestamp_seconds{namespace="fixia-app",name="api"}'
    )

    # --- what watches

    def watches(self) -> list[Watch]:
        def target(job: str, namespace: str, port: int, **more: Any) -> Target:
            return Target(job=job, endpoint=endpoint(IDENTITY, job, namespace, port), **more)

        database = target("database", DATA, self.database.metrics_port)
        pool = target("pool", DATA, self.pool.metrics_port)
        cache = target("cache", DATA, self.cache.metrics_port)
        backups = target("backups", DATA, self.backup_port, honor_labels=True)
        entrance = target("entrance", "fixia-ingress", self.entrance.ports["metrics"])
        blackbox = target("blackbox", NAMESPACE, self.blackbox_port)
        pair = target("alertmanager", NAMESPACE, self.first.port, tls=True)
        elsewhere = target("elsewhere", NAMESPACE, self.elsewhere.server.port, honor_labels=True)
        spare = target("spare", "fixia-app", self.spare.server.port)
        served = (*ingress_alerts.ISSUED, *ingress_alerts.SERVED)
        paired = (*alertmanager_alerts.ALERTS, *alertmanager_alerts.PAIR)
        backed_up = (*backup_alerts.ARCHIVED, *backup_alerts.MADE, *backup_alerts.TESTED)
        made = [
            Watch(name="database", targets=[database], alerts=data_alerts.DATABASE),
            Watch(name="pool", targets=[pool], alerts=data_alerts.POOLED),
            Watch(name="cache", targets=[cache], alerts=data_alerts.CACHED),
            Watch(name="data", alerts=data_alerts.MACHINES),
            Watch(name="backups", targets=[backups], alerts=backed_up),
            Watch(name="entrance", targets=[entrance], alerts=served),
            Watch(name="blackbox", targets=[blackbox]),
            Watch(name="others", targets=[elsewhere, spare]),
            Watch(name="alertmanager", targets=[pair], alerts=paired),
            watches.of_application([at_entrance("fixia-app", "api")]),
            self._promised(),
        ]
        return [*made, watches.of_absences(["entrance", "blackbox", "backups"])]

    def _promised(self) -> Watch:
        """The promises of one service. Of their alerts those that call somebody: the others take days."""
        made = watches.of_slos(slo.promised("api", at_entrance("fixia-app", "api")))
        return replace(made, alerts=[each for each in made.alerts if each.severity in {"P1", "P2"}])

    def _monitoring(self) -> None:
        def every_second(told: dict[str, Any]) -> None:
            switch = told["route"]["routes"][0]
            assert switch["matchers"] == ['alertname="Watchdog"']
            switch |= {"group_interval": "1s", "repeat_interval": "900ms"}  # production's, by 60

        certified = ("alertmanager", f"alertmanager.{NAMESPACE}.svc", "localhost")
        self.first, self.second = (
            AlertmanagerPod(
                self.folder / each, self.around, replicas=2, names=certified, changes=every_second
            )
            for each in ("alertmanager-0", "alertmanager-1")
        )
        here, there = f"127.0.0.1:{self.second.port}", f"127.0.0.2:{self.first.port}"
        self.second.arguments[:] = [each.replace(here, there) for each in self.second.arguments]
        for pod in (self.first, self.second):
            pod.joins(self.first, self.second)
        self.running["alertmanager"] = self.stack.enter_context(self.first.serving())
        self.begin_second()
        folder = self.folder / "prometheus"
        folder.mkdir()
        (folder / "authority").symlink_to(self.around.authority)
        told = {
            "alertmanagers": endpoint(IDENTITY, "alertmanager", NAMESPACE, self.first.port),
            "alertmanager_password": pulumi.Output.secret(alertmanager_world.PASSWORD),
        }
        probes = probing(self.blackbox_port, Probe(name="site", url=f"https://site.test:{self.site.port}/"))
        brought = self.watches()
        self.prometheus = PrometheusPod(folder, brought, **told, **probes)
        for file in self.prometheus.volumes["config"].glob("*.y*ml"):
            often = "4s" if file.name == "scrape-database.yaml" else "1s"
            file.write_text(file.read_text().replace(": 2s", f": {often}"))
        self.alerts: dict[str, Alert] = {}
        for file in self.prometheus.volumes["rules"].glob("*.yaml"):
            rules = yaml.safe_load(file.read_text())
            file.write_text(yaml.safe_dump(hastened(rules)))
            for rule in rules["groups"][0]["rules"]:
                if "alert" in rule:
                    minutes, labels, notes = int(rule["for"][:-1]), rule["labels"], rule["annotations"]
                    self.alerts[rule["alert"]] = Alert(
                        name=rule["alert"], expression=rule["expr"], minutes=minutes, **labels, **notes
                    )
        api = self.stack.enter_context(self.prometheus.api())
        for watch in brought:
            for target in watch.targets:
                api.pod(f"{target.job}-0", target.endpoint)
                if target.job == "alertmanager":
                    api.pod("alertmanager-1", target.endpoint, address="127.0.0.2")
        api.pod("prometheus-0", self.prometheus.endpoint)
        self.begin_prometheus()

    def begin_second(self) -> None:
        self.start("alertmanager-1", self.second, "alertmanager", command=["prometheus-alertmanager"])
        found = self.first.metrics
        eventually(lambda: found("alertmanager_cluster_members") == {"": 2}, "both have found each other")

    def begin_prometheus(self) -> None:
        self.running["prometheus"] = self.stack.enter_context(self.prometheus.serving())

    # --- how faults are made

    def start(self, name: str, pod: RecordedPod, container: str, *more: str, **how: Any) -> None:
        """Run one container until the world ends, or somebody ends it."""
        self.running[name] = self.stack.enter_context(pod.run(container, *more, **how))

    @contextmanager
    def gone(self, name: str, again: Callable[[], None], by: Signals = Signals.SIGKILL) -> Iterator[None]:
        """A program that is killed, or asked to end; afterwards it is started again."""
        self.running[name].send_signal(by)
        self.running[name].wait(20)
        try:
            yield
        finally:
            again()

    def fires(self, alert: str) -> bool:
        """Whether Prometheus has it, or is about to."""
        return bool(self.prometheus.query(f'ALERTS{{alertname="{alert}"}}'))


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Start all of it, and wait until nothing is amiss."""
    with ExitStack() as stack:
        world = Watched(folder, stack)
        up = 'count(up == 1) == 12 unless on () ALERTS{alertname!="Watchdog"}'
        eventually(lambda: world.prometheus.query(up), "all is well", PATIENCE)
        yield world
