"""The parts of a node: what each is started with, and the files that it reads.

The servers of the control plane run as they are. What makes containers runs in the node's root filesystem,
which has the tools that it calls. A setting that looks odd is there because a machine needed it, and says so.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from simulator.node import outside
from simulator.node.apiserver import ISSUER
from simulator.node.credentials import PROXY, Credentials
from simulator.node.place import NAME, Place

PAUSE: Final = "fixia.local/pause:1"
"""The image of the container that holds a pod's network."""

BRIDGE: Final = "pods"
"""The link within the node that all pods hang on."""

CONTAINERD: Final = "/run/containerd/containerd.sock"
BIN: Final = "/usr/local/bin"
"""Where the root filesystem has Kubernetes' programs."""

INSIDE: Final = ("kubelet", "kube-proxy")
"""The programs of Kubernetes that run inside the root filesystem."""

AUDIT_POLICY: Final = Path(__file__).resolve().parents[2] / "components" / "platform" / "audit-policy.yaml"
"""What is written down of what the API server is asked; whoever runs their own control plane has the same."""
_HERE: Final = Path(__file__).resolve().parent
_SOCKET: Final = "clients:1"
"""A socket's file name; it must look like a host and a port, or etcd won't have it."""

# Programs and settings may lie in the home of a user whom root had them made for.
_POWERLESS: Final = (
    "setpriv",
    "--no-new-privs",
    "--bounding-set=-all,+dac_read_search",
    "--inh-caps=-all",
    "--",
)
# And listens where HTTPS is expected.
_AT_LOW_PORTS: Final = tuple(
    part.replace("+dac_read_search", "+dac_read_search,+net_bind_service") for part in _POWERLESS
)
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A program that has to run as long as the node does.

    Attributes:
        name: what it is called.
        command: the program and its arguments.
        folder: its working folder.
        env: its whole environment.
        after: the parts that must have been ready once before it is started.
        ready: the file (a socket), the path of the API or the `host:port` by which it shows that it is; empty
            if it shows nothing.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    env: Mapping[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    after: tuple[str, ...] = ()
    ready: str = ""


def parts(place: Place, programs: Mapping[str, Path], credentials: Credentials) -> list[Part]:
    """Return a node's parts in the order of their start, and write the files that they read.

    Args:
        place: the node's.
        programs: where each program is.
        credentials: of this start.
    """
    for folder in (place.config, place.config / "cni", place.folder / "etcd", place.folder / "kubelet"):
        folder.mkdir(mode=0o700, exist_ok=True)
    pki = credentials
    return [
        _etcd(place, programs["etcd"]),
        _control(place, programs, "kube-apiserver", _apiserver(place, pki), after="etcd", ready="/readyz"),
        _control(place, programs, "kube-controller-manager", _controller_manager(place, pki)),
        _control(place, programs, "kube-scheduler", _scheduler(pki)),
        _containerd(place),
        _inside(place, "kubelet", _kubelet(place, pki), after=("kube-apiserver", "containerd")),
        _inside(place, "kube-proxy", _proxy(place, pki), after=("kube-apiserver",)),
        _objects(place, programs["versitygw"], pki),
        _alerts(place),
    ]


def entering(place: Place) -> tuple[str, ...]:
    """Return the command before a command that runs it in the node's root filesystem, on the node.

    Args:
        place: the node's.
    """
    number = place.inside.read_text(encoding="utf-8").strip()
    return ("nsenter", f"--mount=/proc/{number}/ns/mnt", "--")


def _etcd(place: Place, program: Path) -> Part:
    arguments = (
        f"--data-dir={place.folder / 'etcd' / 'data'}",
        f"--listen-client-urls=unix://{_SOCKET}",
        f"--advertise-client-urls=unix://{_SOCKET}",
        "--listen-peer-urls=unix://peers:1",
        "--initial-advertise-peer-urls=unix://peers:1",
        "--initial-cluster=default=unix://peers:1",
        "--unsafe-no-fsync",  # a laptop's disk need not hear of each write; `down` throws all of it away
        "--log-format=console",
        "--log-level=warn",
    )
    folder = place.folder / "etcd"
    command = (*_POWERLESS, str(program), *arguments)
    return Part(name="etcd", command=command, folder=folder, ready=str(folder / _SOCKET))


def _control(
    place: Place,
    programs: Mapping[str, Path],
    name: str,
    arguments: list[str],
    *,
    after: str = "kube-apiserver",
    ready: str = "",
) -> Part:
    command = (*_POWERLESS, str(programs[name]), *arguments)
    return Part(name=name, command=command, folder=place.folder, after=(after,), ready=ready)


def _apiserver(place: Place, pki: Credentials) -> list[str]:
    server, kubelet, proxy = (
        pki.servers["kube-apiserver"],
        pki.clients["kubelet-client"],
        pki.clients[PROXY],
    )
    return [
        f"--etcd-servers=unix://{place.folder / 'etcd' / _SOCKET}",
        f"--bind-address={place.node}",
        f"--advertise-address={place.node}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={place.services}",
        f"--cert-dir={place.pki}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        "--tls-min-version=VersionTLS12",
        f"--client-ca-file={pki.authority}",
        "--anonymous-auth=false",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--admission-control-config-file={_HERE / 'admission.yaml'}",
        "--allow-privileged",  # as every cluster does: the level of pod security is what refuses them
        f"--encryption-provider-config={pki.encryption}",
        f"--audit-policy-file={AUDIT_POLICY}",
        f"--audit-log-path={place.logs / 'audit.log'}",
        "--audit-log-maxsize=50",
        "--audit-log-maxbackup=2",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={pki.tokens.public}",
        f"--service-account-signing-key-file={pki.tokens.private}",
        # Logs and exec: the node's name means nothing to anybody's resolver.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={pki.authority}",
        f"--kubelet-client-certificate={kubelet.certificate}",
        f"--kubelet-client-key={kubelet.key}",
        # The servers of other APIs: metrics, webhooks.
        f"--requestheader-client-ca-file={pki.proxy_authority}",
        f"--requestheader-allowed-names={PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={proxy.certificate}",
        f"--proxy-client-key-file={proxy.key}",
        "--profiling=false",
    ]


def _controller_manager(place: Place, pki: Credentials) -> list[str]:
    return [
        *_serving(pki, "kube-controller-manager"),
        "--controllers=*",
        "--use-service-account-credentials",
        f"--root-ca-file={pki.authority}",
        f"--service-account-private-key-file={pki.tokens.private}",
        f"--cluster-cidr={place.pods}",
        "--allocate-node-cidrs=false",  # one node has them all
        "--profiling=false",
    ]


def _scheduler(pki: Credentials) -> list[str]:
    return [*_serving(pki, "kube-scheduler"), "--profiling=false"]


def _serving(pki: Credentials, name: str) -> list[str]:
    server, kubeconfig = pki.servers[name], pki.kubeconfigs[name]
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        "--leader-elect=false",  # there is no other
    ]


def _containerd(place: Place) -> Part:
    (place.config / "cni" / "10-bridge.conflist").write_text(json.dumps(_network(place), indent=2))
    config = place.config / "containerd.toml"
    config.write_text(
        f"""version = 2
root = "{place.folder}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
  address = "{CONTAINERD}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # A machine may lack CAP_SYS_RESOURCE, without which no value may be lowered, and runc gives up.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{place.config}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
""",
        encoding="utf-8",
    )
    command = (*entering(place), "containerd", f"--config={config}", "--log-level=warn")
    return Part(name="containerd", command=command, folder=place.folder, ready=f"{place.root}{CONTAINERD}")


def _objects(place: Place, program: Path, pki: Credentials) -> Part:
    """S3 by TLS, on a folder. Source: https://github.com/versity/versitygw/wiki."""
    server, known = pki.servers["objects"], outside.keys(place)
    at = f"{outside.ADDRESSES[outside.OBJECTS]}:{outside.PORT}"
    arguments = ["--port", at, "--cert", str(server.certificate), "--key", str(server.key), "--quiet"]
    arguments += ["--region", outside.REGION, "--keep-alive", "posix", str(place.objects)]
    return Part(
        name="objects",
        command=(*_AT_LOW_PORTS, str(program), *arguments),
        folder=place.objects,
        env={"PATH": _PATH, "ROOT_ACCESS_KEY": known.key, "ROOT_SECRET_KEY": known.secret},
        ready=at,
    )


def _alerts(place: Place) -> Part:
    address, port = outside.ADDRESSES[outside.ALERTS], str(outside.PORT)
    serve = (sys.executable, "-P", "-m", "simulator.node.receiver", address, port, str(place.alerts))
    env = {"PATH": _PATH, "PYTHONPATH": str(_HERE.parents[1])}
    return Part(
        name="alerts",
        command=(*_AT_LOW_PORTS, *serve),
        folder=place.folder,
        env=env,
        ready=f"{address}:{port}",
    )


def _network(place: Place) -> dict[str, Any]:
    """The pods' network: a bridge inside the node. Policies are enforced by `walls.py`."""
    addresses = {
        "type": "host-local",
        "dataDir": f"{place.folder}/cni",
        "ranges": [[{"subnet": str(place.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipam": addresses}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _inside(place: Place, name: str, arguments: list[str], *, after: tuple[str, ...]) -> Part:
    command = (*entering(place), f"{BIN}/{name}", *arguments)
    return Part(name=name, command=command, folder=place.folder, after=after)


def _kubelet(place: Place, pki: Credentials) -> list[str]:
    resolv = place.config / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\n", encoding="utf-8")  # for pods that ask for the node's own DNS
    server = pki.servers["kubelet"]
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(place.node),
        "readOnlyPort": 0,
        "tlsCertFile": str(server.certificate),
        "tlsPrivateKeyFile": str(server.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(pki.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{place.mark}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,  # see containerd's restrict_oom_score_adj
        "clusterDomain": "cluster.local",
        "clusterDNS": [str(place.dns)],
        "resolvConf": str(resolv),
        "seccompDefault": True,
        # Images come from nowhere a second time.
        "imageGCHighThresholdPercent": 100,
        # Somebody sits before it, and waits: five minutes, the usual, are for a cloud's machines.
        "evictionPressureTransitionPeriod": "30s",
        # The disk is the machine's, and its owner sees to it.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
            "imagefs.inodesFree": "1%",
        },
        "volumePluginDir": str(place.folder / "kubelet" / "volume-plugins"),
        "enableProfilingHandler": False,
        "enableDebugFlagsHandler": False,
    }
    return [
        f"--config={_json(place, 'kubelet', config)}",
        f"--kubeconfig={pki.kubeconfigs['kubelet']}",
        f"--root-dir={place.folder / 'kubelet'}",
        f"--hostname-override={NAME}",
        f"--node-ip={place.node}",
        "--node-labels=topology.kubernetes.io/zone=local",
    ]


def _proxy(place: Place, pki: Credentials) -> list[str]:
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": str(place.node),
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "clientConnection": {"kubeconfig": str(pki.kubeconfigs["kube-proxy"])},
        "clusterCIDR": str(place.pods),
        # These hold for the whole machine: they stay as its owner has them.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
    }
    return [f"--config={_json(place, 'kube-proxy', config)}", f"--hostname-override={NAME}"]


def _json(place: Place, name: str, config: dict[str, Any]) -> Path:
    file = place.config / f"{name}.json"
    file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return file
