"""Alertmanager: what fires in Prometheus reaches people, once, in one message, where they look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs, StatefulSetUpdateStrategyArgs
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    EmptyDirVolumeSourceArgs,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpecArgs,
    PersistentVolumeClaimVolumeSourceArgs,
    PodTemplateSpecArgs,
    Secret,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs

from components.application.scaling import disruption_budget
from components.base import Component, Identity
from components.monitoring import alertmanager_alerts as alerts
from components.monitoring import alertmanager_config as config
from components.monitoring.access import TLS_FOLDER, access
from components.monitoring.routes import Receivers
from components.network import INTERNET, Addresses, Connections, ConnectionsArgs, Endpoint, endpoint
from components.platform.authority import Authority
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, command_probe, hardened_pod
from components.statefulsets import HISTORY, mending
from components.volumes import config_volume, secret_volume
from components.watch import Target, Watch

DATA_FOLDER: Final = "/data"
SETTLED_SECONDS: Final = 30
"""How long a new replica must have been ready before the next is replaced: by then it has heard of all."""


@dataclass(frozen=True, kw_only=True)
class AlertmanagerArgs:
    """One Alertmanager.

    Attributes:
        identity: whose it is.
        namespace: where its pods run.
        image: the image, 0.28 or newer, with a tag; its entrypoint is Alertmanager. See images/alertmanager.
        resources: what one replica may use. It takes about 50 MB; with a limit of 128Mi there is room.
        receivers: who can be told.
        authority: who signs its certificate.
        runbooks: the address before a runbook's path in this repository, such as
            `https://github.com/fixia/platform/blob/main/`.
        storage: for silences and for what was told, as a Kubernetes quantity; megabytes.
        replicas: one, or two that tell everything once.
        timezone: where working hours are, by its IANA name. Any but `UTC` must be in the image.
        dashboards: Grafana's address, for the messages' links; no link unless told.
        storage_class: the volume's storage class; the cluster's default unless told.
        priority_class: the name of its pods' priority class.
        port: where it listens for HTTPS.
        cluster_port: where a replica listens for the other one.
        protect: refuses to delete the volume that a single replica has. Before such a one becomes two, it
            must be false once.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    resources: Resources
    receivers: Receivers
    authority: Authority
    runbooks: str
    storage: str = "1Gi"
    replicas: int = 2
    timezone: str = "UTC"
    dashboards: str | None = None
    storage_class: pulumi.Input[str] | None = None
    priority_class: pulumi.Input[str] | None = None
    port: int = config.PORT
    cluster_port: int = config.CLUSTER_PORT
    protect: bool = True


class Alertmanager(Component):
    """One Alertmanager, or two that share what was told and what is silenced.

    Prometheus must send to each replica, not to the Service, which is for people and tools. Two replicas talk
    by mutual TLS with a certificate for their common name (`--cluster.tls-config`, which Alertmanager still
    calls experimental); it also keeps their gossip on TCP, which is all that network policies here allow.
    While they do not find each other each tells everything: twice rather than not at all. A pod must have a
    private address (RFC 6890), or Alertmanager does not know what to call itself to the other.

    What it keeps: silences, for a day at most, and what was told. One replica has a volume of its own, which
    outlives it. Two keep it in their pods and give it to each other, so a release, a drained node or a lost
    zone cost nothing; the price is that when both end in the same moment silences must be made anew, and what
    still fires is told once more. There is nothing to restore.

    A change of who is told rolls the pods; while one is replaced, the other tells. A configuration that
    Alertmanager refuses stops the roll at the first.

    It calls the internet: HTTPS, and the port of the mail server. Which host cannot be told to a network
    policy, so this is all of it and nothing private.

    Raises:
        ValueError: another number of replicas than one or two, or an address or a time zone that is none.

    Source: https://prometheus.io/docs/alerting/latest/high_availability/
    """

    TYPE = "fixia:monitoring:Alertmanager"

    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    host: pulumi.Output[str]
    """Its DNS name within the cluster."""
    stateful_set: pulumi.Output[str]
    """The StatefulSet's name in the cluster."""

    def __init__(self, name: str, args: AlertmanagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        if args.replicas not in (1, 2):
            raise ValueError(
                f"{args.replicas} replicas of {name}; valid: 1, or 2 that stand in for each other"
            )
        self.host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
        self.endpoint = replace(endpoint(args.identity, name, args.namespace, args.port), encrypted=True)
        self.access = access(self, name)
        self.watch = Watch(
            name=name,
            targets=[Target(job=alerts.JOB, endpoint=self.endpoint, tls=True)],
            alerts=[*alerts.ALERTS, *(alerts.PAIR if args.replicas == 2 else ())],
        )
        selector = self.endpoint.pods
        self.stateful_set = self._stateful_set(name, args, selector).metadata.name
        self.service = self._service(name, args, selector).metadata.name
        self._headless_service(name, args, selector)
        if args.replicas == 2:
            disruption_budget(self, name, args.namespace, selector=selector)
        Connections(
            name,
            ConnectionsArgs(identity=args.identity, caller=self.endpoint, talks_to=_callees(name, args)),
            opts=self.child(),
        )
        self.finish()

    def _stateful_set(self, name: str, args: AlertmanagerArgs, selector: Mapping[str, str]) -> StatefulSet:
        account = service_account(self, name, args.namespace)
        return StatefulSet(
            f"{name}-stateful-set",
            metadata=self.metadata(args.namespace, name=name),
            spec=StatefulSetSpecArgs(
                replicas=args.replicas,
                service_name=_headless(name),
                selector=LabelSelectorArgs(match_labels=selector),
                # Of two, one at a time: the other knows what was told.
                update_strategy=mending()
                if args.replicas == 1
                else StatefulSetUpdateStrategyArgs(type="RollingUpdate"),
                # `OrderedReady` would wait for a broken pod to get ready before the release that mends it.
                pod_management_policy="Parallel",
                min_ready_seconds=SETTLED_SECONDS if args.replicas == 2 else None,
                revision_history_limit=HISTORY,
                template=PodTemplateSpecArgs(
                    metadata=self.metadata(),
                    spec=hardened_pod(
                        Pod(
                            containers=[_alertmanager(name, args)],
                            service_account=account.metadata.name,
                            volumes=[
                                *self._told(name, args),
                                self._signed(name, args),
                                self._kept(name, args),
                            ],
                            spread=selector if args.replicas == 2 else None,
                            spread_within=["controller-revision-hash"] if args.replicas == 2 else (),
                            priority_class=args.priority_class,
                        )
                    ),
                ),
            ),
            opts=self.child(),
        )

    def _told(self, name: str, args: AlertmanagerArgs) -> list[VolumeArgs]:
        """Its configuration and secrets: immutable and named by the engine, so a change rolls the pods."""
        files = {
            "alertmanager.yml": config.alertmanager_yml(
                args.receivers, timezone=args.timezone, dashboards=args.dashboards is not None
            ),
            "cluster-tls.yml": config.cluster_tls(name),
            **config.templates(
                args.identity.environment,
                runbooks=args.runbooks,
                dashboards=args.dashboards,
            ),
        }
        web: pulumi.Output[dict[str, str]] = pulumi.Output.secret(
            pulumi.Output.all(**{"web.yml": self.access.web_config, "password": self.access.password})
        )
        return [
            config_volume("config", self._config_map(f"{name}-config", args, files)),
            config_volume("amtool", self._config_map(f"{name}-amtool", args, config.amtool_files(args.port))),
            secret_volume(
                "receivers", self._secret(f"{name}-receivers", args, config.secret_files(args.receivers))
            ),
            secret_volume("access", self._secret(f"{name}-access", args, web)),
        ]

    def _config_map(self, name: str, args: AlertmanagerArgs, files: Mapping[str, str]) -> pulumi.Output[str]:
        made = ConfigMap(
            name,
            metadata=self.metadata(args.namespace),
            immutable=True,
            data=dict(files),
            opts=self.child(),
        )
        return made.metadata.name

    def _secret(
        self, name: str, args: AlertmanagerArgs, files: pulumi.Output[dict[str, str]]
    ) -> pulumi.Output[str]:
        made = Secret(
            name,
            metadata=self.metadata(args.namespace),
            immutable=True,
            type="Opaque",
            string_data=files,
            opts=self.child(),
        )
        return made.metadata.name

    def _signed(self, name: str, args: AlertmanagerArgs) -> VolumeArgs:
        # The last is the probes', who check the certificate as everybody does. Replicas show it to each other
        # as clients too.
        inside = pulumi.Output.concat(name, ".", args.namespace)
        names: list[pulumi.Input[str]] = [name, inside, self.host, "localhost"]
        return secret_volume("tls", args.authority.issue(self, name, args.namespace, names, client=True))

    def _kept(self, name: str, args: AlertmanagerArgs) -> VolumeArgs:
        if args.replicas == 2:
            return VolumeArgs(name="data", empty_dir=EmptyDirVolumeSourceArgs(size_limit=args.storage))
        claim = PersistentVolumeClaim(
            f"{name}-data",
            metadata=self.metadata(args.namespace),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": args.storage}),
            ),
            opts=self.child(protect=args.protect),
        )
        source = PersistentVolumeClaimVolumeSourceArgs(claim_name=claim.metadata.name)
        return VolumeArgs(name="data", persistent_volume_claim=source)

    def _service(self, name: str, args: AlertmanagerArgs, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: clients call it, and the certificate is for it.
            metadata=self.metadata(args.namespace, name=name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[ServicePortArgs(name="https", port=args.port, target_port="https", protocol="TCP")],
            ),
            opts=self.child(),
        )

    def _headless_service(self, name: str, args: AlertmanagerArgs, selector: Mapping[str, str]) -> Service:
        """Each pod's own DNS name, by which the replicas find each other."""
        ports = {"https": args.port, **({"cluster": args.cluster_port} if args.replicas == 2 else {})}
        return Service(
            f"{name}-headless-service",
            # Fixed, so that the StatefulSet can name it without waiting for it, which waits for the pods.
            metadata=self.metadata(args.namespace, name=_headless(name)),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                cluster_ip="None",
                selector=dict(selector),
                # They look for each other before they are ready.
                publish_not_ready_addresses=True,
                ports=[
                    ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                    for port, number in ports.items()
                ],
            ),
            opts=self.child(),
        )


def _headless(name: str) -> str:
    return f"{name}-headless"


def _callees(name: str, args: AlertmanagerArgs) -> list[Endpoint | Addresses]:
    receivers = args.receivers
    callees: list[Endpoint | Addresses] = []
    if receivers.slack or receivers.pagerduty or receivers.webhook or receivers.dead_mans_switch:
        callees.append(INTERNET)
    if receivers.email:
        callees.append(replace(INTERNET, name="mail", port=receivers.email.port))
    if args.replicas == 2:
        itself = endpoint(args.identity, name, args.namespace, args.cluster_port)
        callees.append(replace(itself, name=f"{name}-cluster", encrypted=True))
    return callees


def _arguments(name: str, args: AlertmanagerArgs) -> list[pulumi.Input[str]]:
    told: list[pulumi.Input[str]] = [
        f"--config.file={config.CONFIG_FOLDER}/alertmanager.yml",
        f"--storage.path={DATA_FOLDER}",
        f"--web.listen-address=:{args.port}",
        f"--web.config.file={config.ACCESS_FOLDER}/web.yml",
        "--log.format=json",
    ]
    if args.replicas == 1:
        return [*told, "--cluster.listen-address="]
    return [
        *told,
        f"--cluster.listen-address=0.0.0.0:{args.cluster_port}",
        f"--cluster.tls-config={config.CONFIG_FOLDER}/cluster-tls.yml",
        *(
            pulumi.Output.concat(
                f"--cluster.peer={name}-{number}.{_headless(name)}.",
                args.namespace,
                f".svc:{args.cluster_port}",
            )
            for number in range(args.replicas)
        ),
    ]


def _mounts() -> Sequence[VolumeMountArgs]:
    read = {
        "config": config.CONFIG_FOLDER,
        "amtool": config.AMTOOL_FOLDER,
        "receivers": config.RECEIVERS_FOLDER,
        "access": config.ACCESS_FOLDER,
        "tls": TLS_FOLDER,
    }
    return [
        # Whole folders, never single files: those would stay as they were when a certificate is renewed.
        *(VolumeMountArgs(name=name, mount_path=path, read_only=True) for name, path in read.items()),
        VolumeMountArgs(name="amtool", mount_path=config.DEBIAN_AMTOOL_FOLDER, read_only=True),
        VolumeMountArgs(name="data", mount_path=DATA_FOLDER),
    ]


def _alertmanager(name: str, args: AlertmanagerArgs) -> Container:
    # The kubelet has no password. What is told of the cluster is told by a server that answers.
    probe = [
        "amtool",
        f"--alertmanager.url={config.address(args.port)}",
        f"--http.config.file={config.AMTOOL_FOLDER}/http.yml",
        "--timeout=4s",
        "cluster",
        "show",
    ]
    ports = {"https": args.port, **({"cluster": args.cluster_port} if args.replicas == 2 else {})}
    return Container(
        name="alertmanager",
        image=args.image,
        resources=args.resources,
        args=_arguments(name, args),
        ports=ports,
        mounts=_mounts(),
        startup=command_probe(probe, period_seconds=2, failure_threshold=30),
        readiness=command_probe(probe, period_seconds=10, failure_threshold=3),
        liveness=command_probe(probe, period_seconds=20, failure_threshold=6),
    )
