"""Pictures of the platform, drawn from what the program really registers and really lets through.

A box is a component; an arrow is a connection that the network policies let through, or a component that waits for
another before it changes. `make docs` puts them between their marks in the pages, as Mermaid, which GitHub draws.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from components.backup.buckets import Buckets
from components.edge.cloudflare import CloudflareEdge
from simulator.reachability.matrix import EXTERNAL, Cluster
from simulator.reachability.parties import External, Object
from tests.recorder import ROOT, Recording, Resource

PAGES: Final = (ROOT / "README.md", ROOT / "docs/architecture.md")
STACK: Final = "production"
IN_FRONT: Final = External(name="Cloudflare", address="173.245.48.1", port=443)
"""One of the proxies that stand in front of the entrance."""
_MARK: Final = re.compile(r"(<!-- picture: ([a-z-]+) -->\n).*?(<!-- end of picture -->\n)", re.DOTALL)
_NAMES: Final = "kube-dns"
_WEB: Final = frozenset({80, 443})

Calls = Mapping[tuple[str, str], frozenset[int]]
"""Who calls whom, by their names in the picture, and at which ports."""


class Stack:
    """One stack's components and who calls whom.

    Args:
        recording: the program, run with the stack's settings.
        objects: the Kubernetes objects of it.
    """

    def __init__(self, recording: Recording, objects: Sequence[Object]) -> None:
        self._all = recording.all
        self._cluster = Cluster.read(objects, external=[*EXTERNAL, IN_FRONT])
        self.rooms: dict[str, str] = {}
        """Component -> namespace of its pods, or where else it is."""
        self.keeps: set[str] = set()
        """Components that keep data."""
        self._of_pod: dict[str, str] = {}
        self._components: dict[str, str] = {}
        for _, resource in sorted(recording.all.items()):
            if resource.type.startswith("kubernetes:") and "kind" in resource.inputs:
                self._note(resource)
        self.edge, self.buckets = (self._one(kind.TYPE) for kind in (CloudflareEdge, Buckets))

    def calls(self) -> Calls:
        """The connections between components, without the resolving of names."""
        found: dict[tuple[str, str], set[int]] = defaultdict(set)
        for flow in self._cluster.flows():
            pair = self._end(flow.source, flow.port), self._end(flow.destination, flow.port, flow.source)
            if pair[0] != pair[1] and _NAMES not in flow.destination:
                found[pair].add(flow.port)
        if self.edge:
            # What Cloudflare's zone is for: the world comes in there, by the names of its records.
            found["internet", self.edge] = {443}
        return {pair: frozenset(ports) for pair, ports in sorted(found.items())}

    def waits(self) -> list[tuple[str, str]]:
        """Which component is there, or changed, before which; what follows from others is left out."""
        pairs = {
            (before, after)
            for urn, resource in self._all.items()
            for dependency in resource.options["depends_on"]
            if (before := self._drawn(dependency)) and (after := self._drawn(urn)) and before != after
        }
        after_all = {node: _reached(node, pairs) for node in {node for pair in pairs for node in pair}}
        return sorted(
            (before, after)
            for before, after in pairs
            if not any(
                after in after_all[between]
                for other, between in pairs
                if other == before and between != after
            )
        )

    def _note(self, resource: Resource) -> None:
        name = resource.inputs["metadata"].get("name", resource.name)
        kind = resource.inputs["kind"].lower()
        namespace = resource.inputs["metadata"].get("namespace")
        component = self._top(resource.urn)
        if component is None or namespace is None:
            return
        if kind in ("deployment", "statefulset", "daemonset", "cronjob", "job"):
            home = self.rooms.setdefault(component.name, namespace)
            shown = component.name if home == namespace else f"{component.name} in {namespace}"
            self.rooms[shown] = namespace
            self._of_pod[f"{namespace}/{kind}/{name}"] = shown
            self._components[f"{namespace}/{kind}/{name}"] = component.name
        if kind in ("statefulset", "persistentvolumeclaim"):
            self.keeps.add(component.name)

    def _one(self, type_: str) -> str:
        """The name that the component of a type has in pictures, or nothing if there is none."""
        for resource in self._all.values():
            if resource.type == type_:
                return {Buckets.TYPE: "buckets"}.get(type_, resource.name)
        return ""

    def _end(self, party: str, port: int, caller: str = "") -> str:
        if party in self._of_pod:
            return self._of_pod[party]
        if party == IN_FRONT.name and self.edge and not caller:
            return self.edge
        # Who may call any address may call Cloudflare's too.
        if party != IN_FRONT.name and not (party.startswith("internet") and port in _WEB):
            return party
        stores = caller and self.buckets and self._components.get(caller) in _STORES
        return "buckets" if stores else "internet"

    def _top(self, urn: str) -> Resource | None:
        top = None
        while resource := self._all.get(urn):
            top = top if resource.custom else resource
            urn = resource.parent
        return top

    def _drawn(self, urn: str) -> str:
        """The component of a resource, as the order of an update shows it; nothing for the ground of all."""
        top = self._top(urn)
        if top is None or top.type.startswith("fixia:platform:"):
            return ""
        return "buckets" if top.type == Buckets.TYPE else top.name


_STORES: Final = frozenset({"database", "backups", "release-snapshot"})
"""Components whose connections to the internet are those to the buckets."""


def _reached(node: str, pairs: Iterable[tuple[str, str]]) -> set[str]:
    following = defaultdict(set)
    for before, after in pairs:
        following[before].add(after)
    found: set[str] = set()
    left = [node]
    while left:
        new = following[left.pop()] - found
        found |= new
        left += new
    return found


def paths(stack: Stack) -> str:
    """The way of a request and of data: all connections but those of who watches."""
    watching = {name for name, room in stack.rooms.items() if room.endswith("-monitoring")}
    calls = {pair: ports for pair, ports in stack.calls().items() if not watching & set(pair)}
    return _flowchart("LR", stack, calls)


def watch(stack: Stack) -> str:
    """Who watches: the connections of what runs beside the platform to look at it."""
    watching = {name for name, room in stack.rooms.items() if room.endswith("-monitoring")}
    calls = {pair: ports for pair, ports in stack.calls().items() if watching & set(pair)}
    return _flowchart("LR", stack, calls)


def order(stack: Stack) -> str:
    """What an update does first: an arrow leads from what must be there to what waits for it."""
    lines = ["flowchart LR"]
    lines += [f"    {_id(before)} --> {_id(after)}" for before, after in stack.waits()]
    return "\n".join(lines) + "\n"


DRAWN: Final[Mapping[str, Callable[[Stack], str]]] = {"paths": paths, "watch": watch, "order": order}
"""Name in a page's mark -> picture."""


def _flowchart(direction: str, stack: Stack, calls: Calls) -> str:
    nodes = sorted({name for pair in calls for name in pair})
    lines = [f"flowchart {direction}"]
    rooms: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        rooms[stack.rooms.get(node, "")].append(node)
    for room, inside in sorted(rooms.items()):
        drawn = [_node(node, keeps=node in stack.keeps or node == "buckets") for node in inside]
        if room:
            lines += [f"    subgraph {_id(room)}[{room}]", *(f"        {each}" for each in drawn), "    end"]
        else:
            lines += [f"    {each}" for each in drawn]
    for (caller, callee), ports in calls.items():
        lines.append(f"    {_id(caller)} -->|{', '.join(map(str, sorted(ports)))}| {_id(callee)}")
    return "\n".join(lines) + "\n"


def _node(name: str, *, keeps: bool) -> str:
    if name in ("internet", "API server"):
        return f'{_id(name)}(("{name}"))'
    return f'{_id(name)}[("{name}")]' if keeps else f'{_id(name)}["{name}"]'


def _id(name: str) -> str:
    return re.sub(r"\W", "_", name)


def drawn_into(text: str, recording: Recording, objects: Sequence[Object]) -> str:
    """A page with every picture between its marks drawn anew.

    Args:
        text: the page; one without a mark comes back as it is.
        recording: the program, run with production's settings.
        objects: the Kubernetes objects of it.

    Raises:
        KeyError: a mark names no picture.
    """
    stack = Stack(recording, objects)
    return _MARK.sub(lambda found: f"{found[1]}```mermaid\n{DRAWN[found[2]](stack)}```\n{found[3]}", text)
