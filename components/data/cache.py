"""The cache and the queue: one Valkey whose data survive it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    EmptyDirVolumeSourceArgs,
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

from components.application.configuration import TLS_FOLDER as CALLER_TLS_FOLDER
from components.base import Component, Identity
from components.data import alerts, valkey_config
from components.data.dashboard import dashboards
from components.network import endpoint
from components.platform.authority import Authority
from components.platform.credentials import Credential
from components.platform.service_account import service_account
from components.pods import Container, Pod, Resources, command_probe, http_probe
from components.statefulsets import single
from components.volumes import config_volume, secret_volume
from components.watch import Target, Watch, files

CONFIG_FOLDER: Final = "/etc/cache"
DATA_FOLDER: Final = "/data"
SECRETS_FOLDER: Final = "/run/secrets/cache"
OPERATOR_FOLDER: Final = "/run/cache/operator"
EXPORTER_FOLDER: Final = "/run/cache/exporter"
TLS_FOLDER: Final = "/run/secrets/cache-tls"

CERTIFICATE_CHECK_SECONDS: Final = 10
GRACE_SECONDS: Final = 60

_SIDECAR: Final = Resources(cpu="10m", memory="32Mi", memory_limit="64Mi")

SIDECARS: Final = (_SIDECAR, _SIDECAR)
"""What the pod asks for beside Valkey."""


@dataclass(frozen=True, kw_only=True)
class CacheArgs:
    """One cache.

    Attributes:
        identity: whose it is.
        namespace: where its pod runs.
        image: the Valkey image, 8.1 or newer, with a tag; see images/valkey.
        exporter_image: the exporter's image, with a tag; see images/redis-exporter.
        resources: what Valkey may use. The memory limit is a binary quantity such as `1Gi`; its data may take
            nearly half of it (see `valkey_config.maxmemory`).
        storage: the volume's size, as a Kubernetes quantity. Ask for five times the memory limit: a rewrite
            begins when the log has doubled, and keeps the old one until the new one stands.
        password: what clients show; one line. It allows what a cache or a queue is used for and no more.
        authority: who signs its certificate. A renewal is taken up within minutes, without a restart.
        storage_class: the volume's storage class; the cluster's default unless told.
        priority_class: the name of the pod's priority class.
        port: where Valkey listens for TLS.
        metrics_port: where the exporter listens for HTTP.
        protect: refuses to delete the volume.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    image: pulumi.Input[str]
    exporter_image: pulumi.Input[str]
    resources: Resources
    storage: str
    password: Credential
    authority: Authority
    storage_class: pulumi.Input[str] | None = None
    priority_class: pulumi.Input[str] | None = None
    port: int = valkey_config.PORT
    metrics_port: int = valkey_config.METRICS_PORT
    protect: bool = True


class Cache(Component):
    """One Valkey over TLS, with a log of all changes on a volume of its own, and its exporter.

    There is one pod: a queue needs one truth, and Valkey's failover can lose acknowledged jobs. While the pod
    is replaced (a release, a drained node) clients wait and reconnect; nothing is lost. It has no disruption
    budget: one that protects a single pod would block every drain of its node until somebody steps in.

    When memory is used up, writes are refused and nothing is evicted. The volume outlives the pod and the
    StatefulSet. To restore after a lost volume: restore its snapshot into a claim, or start empty.
    """

    TYPE = "fixia:data:Cache"

    service: pulumi.Output[str]
    """The Service's name, which is also its DNS name within the namespace."""
    host: pulumi.Output[str]
    """Its DNS name within the cluster, for clients of other namespaces."""
    stateful_set: pulumi.Output[str]
    """The StatefulSet's name in the cluster."""
    claim: pulumi.Output[str]
    """The volume claim's name in the cluster."""

    def __init__(self, name: str, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.host = pulumi.Output.concat(name, ".", args.namespace, ".svc")
        self.endpoint = replace(
            endpoint(args.identity, name, args.namespace, args.port),
            config={
                "REDIS_HOST": self.host,
                "REDIS_PORT": str(args.port),
                "REDIS_CA_FILE": f"{CALLER_TLS_FOLDER}/ca.crt",
            },
            credentials={"redis-password": args.password},
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
        claim = self._claim(name, args)
        self.claim = claim.metadata.name
        self.stateful_set = self._stateful_set(name, args, selector, claim).metadata.name
        self.service = self._service(name, args, selector).metadata.name
        self._headless_service(name, args, selector)
        self.watch = Watch(
            name=name,
            targets=[Target(job=name, endpoint=self.metrics)],
            alerts=alerts.CACHED,
            boards=files(dashboards(), "fixia-cache"),
        )
        self.finish()

    def _claim(self, name: str, args: CacheArgs) -> PersistentVolumeClaim:
        # Not one of the StatefulSet's own templates: they can't be changed without replacing it, and this one
        # can be protected, and grown in place.
        return PersistentVolumeClaim(
            f"{name}-data",
            metadata=self.metadata(args.namespace),
            spec=PersistentVolumeClaimSpecArgs(
                access_modes=["ReadWriteOnce"],
                storage_class_name=args.storage_class,
                resources=VolumeResourceRequirementsArgs(requests={"storage": args.storage}),
            ),
            opts=self.child(protect=args.protect),
        )

    def _stateful_set(
        self, name: str, args: CacheArgs, selector: Mapping[str, str], claim: PersistentVolumeClaim
    ) -> StatefulSet:
        account = service_account(self, name, args.namespace)
        return StatefulSet(
            f"{name}-stateful-set",
            metadata=self.metadata(args.namespace, name=name),
            spec=single(
                Pod(
                    init_containers=[_users(args)],
                    containers=[_valkey(args), _certificate(args), _exporter(args)],
                    service_account=account.metadata.name,
                    volumes=[
                        *self._told(name, args),
                        self._signed(name, args),
                        _claimed(claim),
                        *(_kept_in_memory(each) for each in ("operator", "exporter")),
                    ],
                    # SIGTERM flushes the log and ends; the rest is for a disk that is slow at it.
                    grace_seconds=GRACE_SECONDS,
                    priority_class=args.priority_class,
                ),
                self.metadata(),
                selector,
                service=_headless(name),
            ),
            opts=self.child(),
        )

    def _told(self, name: str, args: CacheArgs) -> list[VolumeArgs]:
        """Its configuration and users: immutable and named by the engine, so a change rolls the pod."""
        config_map = ConfigMap(
            f"{name}-config",
            metadata=self.metadata(args.namespace),
            immutable=True,
            data={
                "valkey.conf": valkey_config.valkey_conf(args.resources.memory_limit, port=args.port),
                **valkey_config.scripts(),
            },
            opts=self.child(),
        )
        passwords: pulumi.Output[list[str]] = pulumi.Output.secret(
            pulumi.Output.all(args.password.current, *args.password.accepted.values())
        )
        secret = Secret(
            f"{name}-secrets",
            metadata=self.metadata(args.namespace),
            immutable=True,
            type="Opaque",
            string_data=passwords.apply(lambda known: valkey_config.secret_files(known[0], known[1:])),
            opts=self.child(),
        )
        return [
            config_volume("config", config_map.metadata.name),
            secret_volume("secrets", secret.metadata.name),
        ]

    def _signed(self, name: str, args: CacheArgs) -> VolumeArgs:
        # The last is the exporter's, which checks the certificate as the clients do.
        inside = pulumi.Output.concat(name, ".", args.namespace)
        secret = args.authority.issue(self, name, args.namespace, [name, inside, self.host, "localhost"])
        return secret_volume("tls", secret)

    def _service(self, name: str, args: CacheArgs, selector: Mapping[str, str]) -> Service:
        return Service(
            f"{name}-service",
            # The name is fixed: clients call it, and the certificate is for it.
            metadata=self.metadata(args.namespace, name=name),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                selector=dict(selector),
                ports=[ServicePortArgs(name="valkey", port=args.port, target_port="valkey", protocol="TCP")],
            ),
            opts=self.child(),
        )

    def _headless_service(self, name: str, args: CacheArgs, selector: Mapping[str, str]) -> Service:
        """The pod's own DNS name, which a StatefulSet asks for."""
        return Service(
            f"{name}-headless-service",
            # Fixed, so that the StatefulSet can name it without waiting for it, which waits for the pod.
            metadata=self.metadata(args.namespace, name=_headless(name)),
            spec=ServiceSpecArgs(
                type="ClusterIP",
                cluster_ip="None",
                selector=dict(selector),
                ports=[
                    ServicePortArgs(name=port, port=number, target_port=port, protocol="TCP")
                    for port, number in (("valkey", args.port), ("metrics", args.metrics_port))
                ],
            ),
            opts=self.child(),
        )


def _headless(name: str) -> str:
    return f"{name}-headless"


def _claimed(claim: PersistentVolumeClaim) -> VolumeArgs:
    source = PersistentVolumeClaimVolumeSourceArgs(claim_name=claim.metadata.name)
    return VolumeArgs(name="data", persistent_volume_claim=source)


def _kept_in_memory(name: str) -> VolumeArgs:
    return VolumeArgs(name=name, empty_dir=EmptyDirVolumeSourceArgs(medium="Memory", size_limit="1Mi"))


def _mounts(*names: str, read_only: bool = True) -> list[VolumeMountArgs]:
    paths = {
        "config": CONFIG_FOLDER,
        "secrets": SECRETS_FOLDER,
        "tls": TLS_FOLDER,
        "operator": OPERATOR_FOLDER,
        "exporter": EXPORTER_FOLDER,
    }
    # Whole folders, never single files: those would stay as they were when a Secret is renewed.
    return [VolumeMountArgs(name=name, mount_path=paths[name], read_only=read_only or None) for name in names]


def _users(args: CacheArgs) -> Container:
    return Container(
        name="users",
        image=args.image,
        resources=_SIDECAR,
        command=["sh", f"{CONFIG_FOLDER}/users.sh"],
        env={
            "OPERATOR_RULES": valkey_config.OPERATOR_RULES,
            "EXPORTER_RULES": valkey_config.EXPORTER_RULES,
            "EXPORTER_ENTRY": valkey_config.password_entry(args.port),
        },
        mounts=[*_mounts("config"), *_mounts("operator", "exporter", read_only=False)],
    )


def _valkey(args: CacheArgs) -> Container:
    probe = ["sh", f"{CONFIG_FOLDER}/probe.sh"]
    return Container(
        name="valkey",
        image=args.image,
        resources=args.resources,
        command=["valkey-server", f"{CONFIG_FOLDER}/valkey.conf"],
        ports={"valkey": args.port},
        env={"CACHE_PORT": str(args.port)},
        mounts=[
            *_mounts("config", "secrets", "operator", "tls"),
            VolumeMountArgs(name="data", mount_path=DATA_FOLDER),
        ],
        # It is up when it answers, if only that it still loads: a large log takes minutes to read, and a
        # restart would begin at the beginning.
        startup=command_probe([*probe, "alive"], period_seconds=2, failure_threshold=30),
        readiness=command_probe([*probe, "ready"], period_seconds=5, failure_threshold=3),
        liveness=command_probe([*probe, "alive"], period_seconds=10, failure_threshold=6),
    )


def _certificate(args: CacheArgs) -> Container:
    return Container(
        name="certificate",
        image=args.image,
        resources=_SIDECAR,
        command=["sh", f"{CONFIG_FOLDER}/certificate.sh"],
        env={"CACHE_PORT": str(args.port), "CHECK_SECONDS": str(CERTIFICATE_CHECK_SECONDS)},
        mounts=_mounts("config", "operator", "tls"),
    )


def _exporter(args: CacheArgs) -> Container:
    return Container(
        name="exporter",
        image=args.exporter_image,
        resources=_SIDECAR,
        ports={"metrics": args.metrics_port},
        # By environment, whose names are the same in every image; arguments would need its entrypoint's.
        env={
            "REDIS_ADDR": valkey_config.address(args.port),
            "REDIS_USER": valkey_config.EXPORTER,
            "REDIS_PASSWORD_FILE": f"{EXPORTER_FOLDER}/exporter.json",
            "REDIS_EXPORTER_TLS_CA_CERT_FILE": f"{TLS_FOLDER}/ca.crt",
            "REDIS_EXPORTER_WEB_LISTEN_ADDRESS": f":{args.metrics_port}",
        },
        mounts=_mounts("exporter", "tls"),
        # Its own health, not Valkey's: that is what `redis_up` is for.
        liveness=http_probe("/health", port="metrics", period_seconds=10, failure_threshold=3),
        readiness=http_probe("/health", port="metrics", period_seconds=10, failure_threshold=3),
    )
