"""The real Traefik with a recorded stack's own configuration and objects, on the loopback.

Only addresses, paths and certificates are the test's own, and whom it trusts as the proxy in front.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.artifact import fakes
from tests.artifact.entrance_world import (
    NAMESPACE,
    PROXY,
    Upstream,
    World,
    certificate,
    free_ports,
    kubelet_writes,
    put_endpoints,
    running,
    serves,
)
from tests.artifact.fake_api_server import FakeApiServer
from tests.recorder import Recording

_NETWORKING: Final = "networking.k8s.io/v1"


def config(recording: Recording) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entrance's recorded configuration, static and dynamic."""
    data = recording.one("kubernetes:core/v1:ConfigMap", "entrance-config").inputs["data"]
    return yaml.safe_load(data["traefik.yaml"]), json.loads(data["routes.yaml"])


def hosts(recording: Recording) -> dict[str, str]:
    """Service -> the host that leads to it, in the namespace of the tests' pods."""
    ingresses = recording.of_type(f"kubernetes:{_NETWORKING}:Ingress")
    return {
        each.inputs["metadata"]["name"]: each.inputs["spec"]["rules"][0]["host"]
        for each in ingresses
        if each.inputs["metadata"]["namespace"] == NAMESPACE
    }


@contextmanager
def staged(
    program: Path, folder: Path, recording: Recording, pods: Mapping[str, Sequence[Upstream]]
) -> Iterator[World]:
    """Start the entrance and wait until it serves every host.

    Args:
        program: Traefik.
        folder: for its files; made.
        recording: all objects of the stack.
        pods: service -> the pods behind it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = hosts(recording)
    assert set(names) == set(pods)
    cert, key = certificate(folder, "first", list(names.values()))
    static, dynamic = config(recording)
    ports = dict(zip(static["entryPoints"], free_ports(len(static["entryPoints"])), strict=True))
    for name, entry_point in static["entryPoints"].items():
        entry_point["address"] = f"{PROXY}:{ports[name]}"
    static["entryPoints"]["websecure"]["forwardedHeaders"]["trustedIPs"].append(f"{PROXY}/32")
    dynamic["http"]["middlewares"]["trusted"]["ipAllowList"]["sourceRange"].append(f"{PROXY}/32")
    place = static["providers"]["file"]["directory"]
    static["providers"]["file"]["directory"] = str(folder / "dynamic")
    (pair,) = dynamic["tls"]["certificates"]
    files = {
        "routes.yaml": json.dumps(dynamic).replace(f"{place}/", f"{folder / 'dynamic'}/"),
        Path(pair["certFile"]).name: cert.read_text(),
        Path(pair["keyFile"]).name: key.read_text(),
    }
    authorities = _client_authorities(dynamic)
    files |= {Path(authority).name: cert.read_text() for authority in authorities}
    kubelet_writes(folder / "dynamic", files)
    (folder / "traefik.yaml").write_text(json.dumps(static))
    with FakeApiServer() as api:
        _fill(api, recording)
        for service, copies in pods.items():
            put_endpoints(api, service, [copy.pod for copy in copies])
        with running(program, folder, api) as process:
            here = World(folder, ports, process, api, cert, direct=False)
            if authorities:
                here.client_certificate = (cert, key)
            log = folder / "traefik.log"
            fakes.until(
                lambda: serves(here, [*names.values()], "/version"), f"the entrance; its log is {log}"
            )
            yield here


def _client_authorities(dynamic: Mapping[str, Any]) -> list[str]:
    """The files of those whose certificates a client must show; none if it needs no certificate."""
    asked: list[str] = dynamic["tls"]["options"]["default"].get("clientAuth", {}).get("caFiles", [])
    return asked


def _fill(api: FakeApiServer, recording: Recording) -> None:
    """Everything that the program makes and that Traefik watches."""
    for resource, kind, version in (
        ("ingresses", "Ingress", _NETWORKING),
        ("ingressclasses", "IngressClass", _NETWORKING),
        ("services", "Service", "v1"),
    ):
        group = version if "/" in version else f"core/{version}"
        for made in recording.of_type(f"kubernetes:{group}:{kind}"):
            api.put(resource, kind, version, _whole(made.inputs))


def _whole(value: Any) -> Any:
    """The engine's numbers are all floating point; an API server's are whole."""
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
