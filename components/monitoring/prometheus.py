"""Prometheus: collects what every component tells, keeps it a month, and knows when somebody must come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    Secret,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)

from components.base import Component, Identity
from components.monitoring import prometheus_config, prometheus_rbac, self_alerts
from components.monitoring.access import TLS_FOLDER, Access, access
from components.monitoring.prometheus_config import (
    ALERTMANAGER_PASSWORD,
    CONFIG_FOLDER,
    PASSWORD,
    RULES_FOLDER,
    SECRETS_FOLDER,
    Probe,
)
from components.network import Addresses, Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.api_token import token_mount, token_volume
from components.platform.authority import Authority
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, command_probe
from components.statefulsets import single
from components.volumes import config_volume, secret_volume
from components.watch import Target, Watch

DATA_FOLDER: Final = "/data"
GRACE_SECONDS: Final = 120


@dataclass(frozen=True, kw_only=True)
class PrometheusArgs:
    """One Prometheus.

    Attributes:
        identity: whose it is.
        namespace: where its pod runs.
        image: the Prometheus image, 2.53 or newer, with promtool and a tag; see images/prometheus.
        resources: what it may use: some 4 KiB of memory for each series, and what queries take.
        storage: the volume's size, as a Kubernetes quantity; it can grow.
        authority: who signs its certificate, and has signed those of the targets with TLS.
        watches: what the components want to be asked and told; not its own.
        api_server: where the API server is, behind its Service.
        nodes: where the nodes' kubelets are.
        external_labels: what tells its alerts from another Prometheus', such as `environment`.
        alertmanagers: who is told of alerts; nobody unless told.
        alertmanager_password: what it shows to them.
        blackbox: who asks what is asked from outside.
        probes: what that is.
        retention_days: how long metrics are kept.
        retention_size: the most that they may take, such as `8GB` (binary): four fifths of the volume, for a
            compaction needs room beside them. Whichever of the two is reached first holds.
        storage_class: the volume's storage class; the cluster's default unless told.
        priority_class: the name of the pod's priority class.
        port: where it listens.
        protect: refuses to delete the volume.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    authority: Authority
    watches: Sequence[Watch]
    api_server: Addresses
    nodes: Addresses
    external_labels: Mapping[str, str]
    storage: str = "10Gi"
    alertmanagers: Endpoint | None = None
    alertmanager_password: pulumi.Output[str] | None = None
    blackbox: Endpoint | None = None
    probes: Sequence[Probe] = ()
    retention_days: int = 30
    retention_size: str = "8GB"
    storage_class: pulumi.Input[str] | None = None
    priority_class: pulumi.Input[str] | None = None
    port: int = 9090
    protect: bool = True

    def __post_init__(self) -> None:
        """Refuses what would be noticed only when an alert does not come."""
        if (self.alertmanagers is None) is not (self.alertmanager_password is None):
            raise ValueError("alertmanagers and their password go together: without it they take no alert")
        if self.probes and self.blackbox is None:
            raise ValueError("probes need a blackbox exporter, which asks for them")


class Prometheus(Component):
    """One Prometheus over TLS, for who knows its password, with a month of metrics on a volume of its own.

    Its configuration and rules are immutable and named by the engine, so that a change of them restarts the
    pod: 2.53 can't take one up by itself, and asking it to would need an open door or a sidecar. The price of
    such a restart is half a minute in which nothing is measured, more when the log of the last three hours is
    long: it is read again, and nothing that was written is lost. What fires goes on firing, if it is back
    within four minutes; an alert that has held for less than it must begins anew if that is under ten minutes
    (`--rules.alert.for-grace-period`), else it is restored.

    There is one pod: a second would ask for everything twice and keep everything twice. What tells that it is
    down is outside: the dead man's switch, which it feeds. It has no disruption budget, which for a single
    pod would block every drain of its node.

    The volume outlives the pod and the StatefulSet. It is not backed up: lost metrics cost the past of the
    graphs, and no alert. Beside the pod nobody can reload or shut it down by HTTP, or delete series.
    """

    TYPE = "fixia:monitoring:Prometheus"

    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    host: pulumi.Output[str]
    """Its DNS name within the cluster, for clients of other namespaces."""
    stateful_set: pulumi.Output[str]
    """The StatefulSet's name in the cluster."""
    claim: pulumi.Output[str]
    """The volume claim's name in the cluster."""

    def __init__(self, name: str, args: PrometheusArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self._name, self._args = name, args
        self.host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
        self.endpoint = replace(
            endpoint(args.identity, name, args.namespace, args.port),
            config={"PROMETHEUS_URL": pulumi.Output.concat("https://", self.host, f":{args.port}")},
            encrypted=True,
        )
        self.access: Access = access(self, name)
        self.watch = self._watch()
        self._watches = [*args.watches, self.watch]
        selector = self.endpoint.pods
        account = service_account(self, name, args.namespace).metadata.name
        prometheus_rbac.grant(self, name, account=account, namespace=args.namespace, targets=self._targets())
        claim = self._claim()
        self.claim = claim.metadata.name
        self.stateful_set = self._stateful_set(selector, account, claim).metadata.name
        self.service = self._service(selector).metadata.name
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=self._callees()),
            opts=self.child(),
        )
        self.finish()

    def _watch(self) -> Watch:
        args = self._args
        target = Target(job=self._name, endpoint=self.endpoint, tls=True)
        alerts = [*self_alerts.ALERTS, *self_alerts.storage(args.retention_days, f"{self._name}-data.*")]
        return Watch(name=self._name, targets=[target], alerts=alerts)

    def _targets(self) -> list[Endpoint]:
        return [target.endpoint for watch in self._watches for target in watch.targets]

    def _callees(self) -> list[Endpoint | Addresses]:
        args = self._args
        known = self._targets()
        known += [each for each in (args.alertmanagers, args.blackbox if args.probes else None) if each]
        callees: dict[str, Endpoint | Addresses] = {}
        for each in known:
            there = callees.get(each.name)
            # Who is scraped where it also serves, such as Alertmanager, is connected once.
            name = each.name if there is None or there.port == each.port else f"{each.name}-{each.port}"
            callees[name] = replace(each, name=name)
        return [*callees.values(), args.api_server, args.nodes]

    def _claim(self) -> PersistentVolumeClaim:
        # Not one of the StatefulSet's own templates: they can't be changed without replacing it, and this one
        # can be protected, and grown in place.
        args = self._args
        return PersistentVolumeClaim(
            f"{self._name}-data",
            metadata=self.metadata(args.namespace),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": args.storage}),
            ),
            opts=self.child(protect=args.protect),
        )

    def _stateful_set(
        self, selector: Mapping[str, str], account: pulumi.Output[str], claim: PersistentVolumeClaim
    ) -> StatefulSet:
        args, name = self._args, self._name
        claimed = PersistentVolumeClaimVolumeSourceArgs(claim_name=claim.metadata.name)
        return StatefulSet(
            f"{name}-stateful-set",
            metadata=self.metadata(args.namespace, name=name),
            spec=single(
                Pod(
                    containers=[_prometheus(args, self.host)],
                    service_account=account,
                    volumes=[
                        *self._told(),
                        self._signed(),
                        token_volume(),
                        VolumeArgs(name="data", persistent_volume_claim=claimed),
                    ],
                    grace_seconds=GRACE_SECONDS,
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                # Nobody calls the pod by a name of its own: its Service has the one pod.
                service=name,
            ),
            opts=self.child(),
        )

    def _told(self) -> list[VolumeArgs]:
        """Configuration, rules and secrets: immutable and named by the engine, so a change rolls the pod."""
        args, name = self._args, self._name
        config = self._config_map("config", self._config())
        rules = self._config_map("rules", prometheus_config.rule_files(self._watches))
        files = {"web.yml": self.access.web_config, PASSWORD: self.access.password}
        if args.alertmanager_password is not None:
            files[ALERTMANAGER_PASSWORD] = args.alertmanager_password
        written: pulumi.Output[dict[str, str]] = pulumi.Output.secret(pulumi.Output.all(**files))
        secret = Secret(
            f"{name}-secrets",
            metadata=self.metadata(args.namespace),
            immutable=True,
            type="Opaque",
            string_data=written,
            opts=self.child(),
        )
        return [
            config_volume("config", config),
            config_volume("rules", rules),
            secret_volume("secrets", secret.metadata.name),
        ]

    def _config(self) -> pulumi.Output[dict[str, str]]:
        args = self._args
        asked = {
            "targets": pulumi.Output.all(*[each.namespace for each in self._targets()]),
            "alertmanagers": args.alertmanagers.namespace if args.alertmanagers else "",
            "blackbox": args.blackbox.namespace if args.blackbox else "",
        }
        return pulumi.Output.all(**asked).apply(self._files)

    def _files(self, namespaces: Mapping[str, Any]) -> dict[str, str]:
        args = self._args
        known = iter(namespaces["targets"])
        watches = [
            replace(
                watch,
                targets=[
                    replace(target, endpoint=replace(target.endpoint, namespace=next(known)))
                    for target in watch.targets
                ],
            )
            for watch in self._watches
        ]
        passwords = {self._name: PASSWORD}
        told = None
        if args.alertmanagers:
            told = replace(args.alertmanagers, namespace=namespaces["alertmanagers"])
            passwords[prometheus_config.name_of(told)] = ALERTMANAGER_PASSWORD
        files = {
            "prometheus.yml": prometheus_config.prometheus_yml(
                external_labels=args.external_labels, alertmanagers=told
            ),
            "client.yml": prometheus_config.client_yml(),
            **prometheus_config.scrape_files(watches, passwords),
        }
        if args.blackbox:
            exporter = replace(args.blackbox, namespace=namespaces["blackbox"])
            files |= prometheus_config.probe_files(args.probes, exporter)
        return files

    def _config_map(
        self, role: str, data: pulumi.Input[Mapping[str, pulumi.Input[str]]]
    ) -> pulumi.Output[str]:
        return ConfigMap(
            f"{self._name}-{role}",
            metadata=self.metadata(self._args.namespace),
            immutable=True,
            data=data,
            opts=self.child(),
        ).metadata.name

    def _signed(self) -> VolumeArgs:
        # The last is the probes', which check the certificate as the clients do.
        args, name = self._args, self._name
        inside = pulumi.Output.concat(name, ".", args.namespace)
        names: list[pulumi.Input[str]] = [name, inside, self.host, "localhost"]
        return secret_volume("tls", args.authority.issue(self, name, args.namespace, names))

    def _service(self, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{self._name}-service",
            # The name is fixed: clients call it, and the certificate is for it.
            metadata=self.metadata(self._args.namespace, name=self._name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[
                    ServicePortArgs(name="https", port=self._args.port, target_port="https", protocol="TCP")
                ],
            ),
            opts=self.child(),
        )


def _prometheus(args: PrometheusArgs, host: pulumi.Output[str]) -> Container:
    asks = [f"--http.config.file={CONFIG_FOLDER}/client.yml", f"--url=https://localhost:{args.port}"]
    alive, ready = (["promtool", "check", state, *asks] for state in ("healthy", "ready"))
    mounts = {"config": CONFIG_FOLDER, "rules": RULES_FOLDER, "secrets": SECRETS_FOLDER, "tls": TLS_FOLDER}
    return Container(
        name="prometheus",
        image=args.image,
        resources=args.resources,
        command=["prometheus"],
        args=[
            f"--config.file={CONFIG_FOLDER}/prometheus.yml",
            f"--web.config.file={SECRETS_FOLDER}/web.yml",
            f"--web.listen-address=:{args.port}",
            pulumi.Output.concat("--web.external-url=https://", host, f":{args.port}/"),
            f"--storage.tsdb.path={DATA_FOLDER}",
            f"--storage.tsdb.retention.time={args.retention_days}d",
            f"--storage.tsdb.retention.size={args.retention_size}",
            # A query that would take more than some 200 MB is refused, before it ends the process.
            "--query.max-samples=10000000",
            # Frees memory before the limit ends it: at nine tenths of it. Prometheus 3 does so by itself.
            "--enable-feature=auto-gomemlimit",
        ],
        ports={"https": args.port},
        mounts=[
            *(VolumeMountArgs(name=each, mount_path=path, read_only=True) for each, path in mounts.items()),
            VolumeMountArgs(name="data", mount_path=DATA_FOLDER),
            token_mount(),
        ],
        # It is up when it answers, if only that it still reads its log: that takes a minute or so, and a
        # restart would begin at the beginning. The probes start a program of some size, so they are rare.
        startup=command_probe(alive, period_seconds=3, failure_threshold=40, timeout_seconds=10),
        readiness=command_probe(ready, period_seconds=15, failure_threshold=3, timeout_seconds=10),
        liveness=command_probe(alive, period_seconds=30, failure_threshold=4, timeout_seconds=10),
    )
