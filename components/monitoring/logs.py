"""Loki: keeps what all containers write for a month, and is asked by Grafana."""

from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Final

import pulumi

from components.base import Component
from components.monitoring import boards_logs, logs_alerts, store
from components.monitoring.access import TLS_FOLDER
from components.monitoring.store import CONFIG_FOLDER, DATA_FOLDER, StoreArgs
from components.network import endpoint
from components.pods import Container, http_probe
from components.watch import Target, Watch

PORT: Final = 3100
STATUS_PORT: Final = 3101
"""Where it says how it is, without TLS, and nothing of what it keeps."""

OLDEST_HOURS: Final = 168
"""How late a line may come: what waited on a node longer is refused."""

HOURS_OF_A_DAY: Final = 24


@dataclass(frozen=True, kw_only=True)
class LogsArgs(StoreArgs):
    """One Loki; see `components.monitoring.store.StoreArgs`.

    Attributes:
        image: Loki's, 3.7 or newer.
        resources: what it may use: some 150 MiB, and what questions take.
        retention_days: how long a line is kept, and found.
    """

    retention_days: int = 30


class Logs(Component):
    """One Loki whose logs lie on a volume of its own, over TLS, for who shows a certificate of the authority.

    Both bounds of what it keeps are watched: the days, which its compactor enforces, and the volume, of which
    it knows nothing: an alert comes before it is full. Full, it takes nothing more in; then the collectors
    wait, and the lines on the nodes are what is left of the past.

    The volume is not backed up: lost logs cost the past and no alert. A change of its configuration is a new
    pod, during whose start, half a minute, the collectors wait.
    """

    TYPE = "fixia:monitoring:Logs"

    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    host: pulumi.Output[str]
    """Its DNS name within the cluster, for clients of other namespaces."""
    stateful_set: pulumi.Output[str]
    """The StatefulSet's name in the cluster."""
    claim: pulumi.Output[str]
    """The volume claim's name in the cluster."""

    def __init__(self, name: str, args: LogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
        self.endpoint = replace(endpoint(args.identity, name, args.namespace, PORT), encrypted=True)
        self.status = replace(self.endpoint, name=f"{name}-status", port=STATUS_PORT, encrypted=False)
        self.watch = Watch(
            name=name,
            targets=[Target(job=name, endpoint=self.status)],
            alerts=logs_alerts.of_store(name, f"{name}-data.*"),
            boards=boards_logs.boards(),
        )
        made = store.made(
            self,
            name,
            args,
            _loki(args),
            selector=self.endpoint.pods,
            files={"loki.yaml": loki_yaml(args.retention_days)},
            tls_folder=TLS_FOLDER,
            ports=[("https", PORT)],
        )
        self.service, self.stateful_set, self.claim = made.service, made.stateful_set, made.claim
        self.finish()


def loki_yaml(
    retention_days: int,
    *,
    port: int = PORT,
    status_port: int = STATUS_PORT,
    data_folder: str = DATA_FOLDER,
    tls_folder: str = TLS_FOLDER,
) -> str:
    """What it is told, a YAML file.

    Args:
        retention_days: how long a line is kept.
        port: where it is asked, over TLS.
        status_port: where it says how it is.
        data_folder: where it keeps everything.
        tls_folder: where its certificate is.
    """
    hours = retention_days * HOURS_OF_A_DAY
    template = Template((Path(__file__).parent / "loki.yaml").read_text(encoding="utf-8"))
    return template.substitute(
        port=port,
        status_port=status_port,
        data_folder=data_folder,
        tls_folder=tls_folder,
        retention_hours=hours,
        # What asks for all of it asks for a little more.
        query_hours=hours + 1,
        oldest_hours=min(OLDEST_HOURS, hours),
    )


def _loki(args: LogsArgs) -> Container:
    return Container(
        name="loki",
        image=args.image,
        resources=args.resources,
        # No command: it is its image's entrypoint, which PATH does not name.
        args=[f"-config.file={CONFIG_FOLDER}/loki.yaml"],
        ports={"https": PORT, "status": STATUS_PORT},
        env=store.go_memory(args.resources),
        # Ready some 15 seconds after its parts know of each other; before it, its log is read again.
        startup=http_probe("/ready", port="status", period_seconds=5, failure_threshold=60),
        readiness=http_probe("/ready", port="status", period_seconds=10, failure_threshold=3),
        liveness=http_probe("/metrics", port="status", period_seconds=20, failure_threshold=6),
    )
