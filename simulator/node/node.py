"""A Kubernetes of one node on this machine: up, status, down. Each may be called again and again.

`up` builds what is missing, starts the node and waits until it carries pods. `down` ends it and leaves
nothing of it behind, also after a crash.
"""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from simulator import cache, disk, locks
from simulator.faults import Fault
from simulator.images.archive import Image, archived
from simulator.node import (
    addons,
    catalogue,
    certificates,
    cgroups,
    credentials,
    machine,
    outside,
    reach,
    receiver,
)
from simulator.node.client import Client, Manifest, Refused
from simulator.node.place import NAME, Place
from simulator.node.programs import programs
from simulator.progress import Progress, Step

SUBJECT: Final = "node"
READY_SECONDS: Final = 300.0
ENGINE_LOCK: Final = "engine/lock"
"""In the node's folder, held by who brings a stack up on it."""

_POLL_SECONDS: Final = 0.5
_IMPORT_SECONDS: Final = 600.0
_UNKNOWN: Final = (OSError, http.client.HTTPException, Refused, Fault)
"""Why the API server does not say how things are."""

_ADDONS: Final = ("coredns", "metrics-server")


@dataclass(frozen=True, kw_only=True)
class State:
    """How a node is.

    Attributes:
        running: whether its processes run.
        parts: each part: `name`, `pid` on this machine (None while it does not run), `restarts`, `lastEnd`,
            `ready`.
        ready: whether the API server says that the node is ready.
        pods: each pod: `namespace`, `name`, `phase`, `ready`, `restarts`.
        stand_ins: image, program or host -> what it is instead.
        hosts: each public host: `url`, and a `command` that shows it.
        alerts: each alert that somebody was told of and that lasts: `name`, `severity`, `summary`, `runbook`.
        remains: what is left of a node that does not run.
    """

    running: bool
    parts: list[dict[str, Any]]
    ready: bool
    pods: list[dict[str, Any]]
    stand_ins: dict[str, str]
    hosts: list[dict[str, str]]
    alerts: list[dict[str, str]]
    remains: list[str]


def up(place: Place, progress: Progress | None = None) -> None:
    """Bring a node up, or wait for one that is on its way; nothing happens when it is.

    Args:
        place: where.
        progress: where it is told; stderr unless told.

    Raises:
        Fault: this machine can't carry a node, or it does not come up.
    """
    machine.require()
    progress = progress or Progress()
    with locks.exclusive(machine.lock(place), progress, SUBJECT):
        made = programs(progress)
        images = catalogue.of_the_node(made, progress)
        if machine.running(place) and (ending := credentials.end_soon(place)):
            progress.say(SUBJECT, f"the certificate of {ending}: the node is started again with new ones")
            machine.end(place)
        if not machine.running(place):
            machine.end(place)  # what a crash left
            with progress.step(SUBJECT, f"starting a Kubernetes node in {place.folder}") as step:
                machine.start(place, catalogue.node_filesystem(progress), made)
                step.outcome = "started"
        with progress.step(SUBJECT, "waiting for the API server and the container runtime") as step:
            _await(place, step, lambda: _missing_parts(place))
            step.outcome = f"{NAME} answers at {place.url}"
        load(place, images.values(), progress)
        with client(place) as connection:
            addons.apply(connection, place, {role: image.name for role, image in images.items()})
            with progress.step(SUBJECT, "waiting for the node, its DNS and its metrics") as step:
                _await(place, step, lambda: _unready(connection))
                step.outcome = f"ready: KUBECONFIG={place.kubeconfig}"


def down(place: Place, progress: Progress | None = None) -> bool:
    """Take a node down with everything that it kept, whatever state it is in.

    Args:
        place: where.
        progress: where it is told; stderr unless told.

    Returns:
        Whether there was anything.

    Raises:
        Fault: this user may not, or something can't be removed.
    """
    machine.require()
    progress = progress or Progress()
    locks.interrupt(place.folder / ENGINE_LOCK, progress, SUBJECT)
    locks.interrupt(machine.lock(place), progress, SUBJECT)
    with locks.exclusive(machine.lock(place), progress, SUBJECT):
        if not machine.remains(place):
            return False
        with progress.step(SUBJECT, f"taking down the node in {place.folder}") as step:
            left = machine.end(place)
            left += machine.clear(place)
            if left:
                raise Fault(
                    where=f"the node in {place.folder}",
                    found=f"this can't be removed: {', '.join(left)}",
                    valid="nothing left of it",
                    do="end what uses it, such as a shell in that folder, and take it down again",
                )
            step.outcome = "nothing is left of it"
    return True


def status(place: Place) -> State:
    """Say how a node is.

    Args:
        place: where.

    Raises:
        Fault: there can be none on this machine, or this user may not know.
    """
    machine.require()
    running = machine.running(place) is not None
    if not running:
        return State(
            running=False,
            parts=[],
            ready=False,
            pods=[],
            stand_ins={},
            hosts=[],
            alerts=[],
            remains=machine.remains(place),
        )
    pods: list[dict[str, Any]] = []
    hosts: list[reach.Host] = []
    ready = False
    with contextlib.suppress(*_UNKNOWN), client(place) as connection:
        ready = _node_ready(connection)
        answer = connection.request("GET", "/api/v1/pods")
        pods = [_pod(each) for each in answer.body.get("items") or []]
        hosts = reach.hosts(connection, place)
    loaded = _loaded(place)
    return State(
        running=True,
        parts=_parts(place),
        ready=ready,
        pods=sorted(pods, key=lambda pod: (pod["namespace"], pod["name"])),
        stand_ins={
            "cert-manager": certificates.STAND_IN,
            **outside.STANDS_IN,
            **{name: said for name in loaded if (said := catalogue.stand_in(name))},
        },
        hosts=[asdict(host) for host in hosts],
        alerts=[_alert(each) for each in receiver.read(place.alerts)],
        remains=[],
    )


def client(place: Place) -> Client:
    """Make an administrator's client of a node that runs.

    Args:
        place: the node's.

    Raises:
        Fault: it has no keys yet.
    """
    authority, identity = credentials.administrator(place)
    if not identity.key.exists():
        raise machine.fault(place, "it has made no keys yet")
    return Client(place.url, authority, identity)


def load(place: Place, images: Iterable[Image], progress: Progress | None = None) -> None:
    """Give a node images; those that it has in the same form are left.

    Args:
        place: the node's; it runs.
        images: what to load.
        progress: where it is told; stderr unless told.

    Raises:
        Fault: one can't be packed or loaded.
    """
    progress = progress or Progress()
    loaded = _loaded(place)
    for image in images:
        if loaded.get(image.name) == image.digest:
            continue
        archive = archived(image, progress)
        with progress.step(SUBJECT, f"loading {image.name}") as step, archive.open("rb") as source:
            command = ["ctr", "--namespace=k8s.io", "images", "import", "-"]
            ended = machine.execute(place, command, stdin=source, timeout=_IMPORT_SECONDS)
            if ended.returncode:
                if disk.is_full(place.folder):
                    raise disk.full(place.folder, need=machine.NEED, do=cache.ELSEWHERE)
                raise machine.fault(place, f"it does not take {image.name}: {ended.stderr.strip()}")
            step.outcome = f"{image.name} is there"
        loaded[image.name] = image.digest
        _images_file(place).write_text(json.dumps(loaded, indent=2) + "\n", encoding="utf-8")


def _images_file(place: Place) -> Path:
    return place.folder / "images.json"


def _loaded(place: Place) -> dict[str, str]:
    file = _images_file(place)
    found: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found


def _await(place: Place, step: Step, missing: Callable[[], str]) -> None:
    """Wait until nothing is missing any more."""
    deadline = time.monotonic() + READY_SECONDS
    while problem := missing():
        step.status = lambda problem=problem: problem  # type: ignore[misc]
        if not machine.running(place):
            raise machine.fault(place, "it has ended")
        if time.monotonic() > deadline:
            raise machine.fault(place, f"after {READY_SECONDS:.0f} s: {problem}")
        time.sleep(_POLL_SECONDS)


def _missing_parts(place: Place) -> str:
    waiting = [part["name"] for part in _parts(place) if not part["ready"]]
    if not place.state.exists():
        return "the supervisor has not begun"
    return f"not ready: {', '.join(waiting)}" if waiting else ""


def _unready(connection: Client) -> str:
    try:
        if not _node_ready(connection):
            return "the node is not ready"
        for name in _ADDONS:
            deployment = {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "kube-system"},
            }
            if not holds(connection.get(deployment).body, "Available"):
                return f"{name} is not available"
        service = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": "v1beta1.metrics.k8s.io"},
        }
        return "" if holds(connection.get(service).body, "Available") else "the metrics are not served"
    except (OSError, http.client.HTTPException, Refused) as error:
        return str(error)


def _node_ready(connection: Client) -> bool:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME}}
    return holds(connection.get(node).body, "Ready")


def holds(manifest: Manifest, condition: str) -> bool:
    """Tell whether a condition of an object's status is true.

    Args:
        manifest: the object.
        condition: the condition's type.
    """
    told = manifest.get("status")
    # Where there is no object, the answer is one of another kind, whose status is a word.
    conditions = told.get("conditions") or [] if isinstance(told, dict) else []
    return any(each["type"] == condition and each["status"] == "True" for each in conditions)


def _parts(place: Place) -> list[dict[str, Any]]:
    """What the supervisor wrote, with the numbers that processes have on this machine."""
    if not place.state.exists():
        return []
    parts: list[dict[str, Any]] = json.loads(place.state.read_text(encoding="utf-8"))["parts"]
    outside = {inside: pid for pid in cgroups.members(place.mark) if (inside := _number_inside(pid))}
    return [{**part, "pid": outside.get(part["pid"])} for part in parts]


def _number_inside(pid: int) -> int | None:
    """A process's number in its own namespace, if it is the node's."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("NSpid:"):
                numbers = line.split()[1:]
                return int(numbers[1]) if len(numbers) == 2 else None  # a pod's are deeper
    return None


def _alert(told: dict[str, Any]) -> dict[str, str]:
    labels, words = told["labels"], told["annotations"]
    return {
        "name": labels["alertname"],
        "severity": labels.get("severity", ""),
        "summary": words.get("summary", ""),
        "runbook": words.get("runbook", ""),
    }


def _pod(manifest: Manifest) -> dict[str, Any]:
    told = manifest.get("status", {})
    containers = told.get("containerStatuses") or []
    return {
        "namespace": manifest["metadata"]["namespace"],
        "name": manifest["metadata"]["name"],
        "phase": told.get("phase", ""),
        "ready": holds(manifest, "Ready"),
        "restarts": sum(container.get("restartCount", 0) for container in containers),
    }
