"""One question to the preview and to a real API server: what becomes of an object that is edited?"""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator.node.client import Client, Manifest
from simulator.providers.core import ProviderError, Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.values import Properties
from tests.cluster.court import MANAGER, title

GONE = "removed"
SAME, UPDATE, REPLACE, REFUSED = "no change", "an update", "a replacement", "refused"
FORCED = "a replacement by the provider's own list"

OWN = frozenset({("StatefulSet", "spec.revisionHistoryLimit")})
"""What the provider replaces for, although the server would change it in place."""

PUBLISHED = "missing required property"
"""The provider holds objects against the published schemas, which want more than the server that has a default."""

UNKNOWABLE = ("exceeded quota",)
"""Of what the server says, what depends on what else there is: a preview knows one object at a time."""

BUILT_IN = re.compile(r"v1|[a-z]+/.*|[a-z.]+\.k8s\.io/.*")
"""Of the versions of APIs, the server's own. Of others a preview knows what every object has, and no schema."""

FREE = frozenset(
    {
        "annotations",
        "data",
        "hard",
        "labels",
        "limits",
        "matchLabels",
        "nodeSelector",
        "parameters",
        "requests",
    }
    | {"stringData"}
)
"""Properties whose keys are their owner's: one of them stands for all."""
_UNTOLD = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid")


@dataclass(frozen=True)
class Edit:
    """An object and what somebody makes of it."""

    kind: str
    path: str
    how: str
    before: Manifest = field(repr=False)
    after: Manifest = field(repr=False)

    def __str__(self) -> str:
        return f"{title(self.before)}: {self.path} {self.how}"


class Preview:
    """The simulated provider with a cluster that has every object of a stack."""

    def __init__(self, manifests: list[Manifest], **settings: Any) -> None:
        self._provider = Kubernetes(Store())
        self._provider.configure(settings)
        self._outputs: dict[str, Properties] = {}
        for manifest in manifests:
            one, inputs = resource(manifest), self.checked(manifest)
            self._outputs[title(manifest)] = self._provider.create(one, inputs)[1]

    def checked(self, manifest: Manifest, before: Properties | None = None) -> Properties:
        checked = self._provider.check(resource(manifest), before or {}, manifest, Naming())
        if checked.failures:
            raise ProviderError("; ".join(f"{one.path}: {one.reason}" for one in checked.failures))
        return checked.inputs

    def stated(self, manifest: Manifest) -> Properties:
        """What a preview says that would be made of an object."""
        return self._provider.preview_create(resource(manifest), self.checked(manifest))

    def verdict(self, edit: Edit) -> tuple[str, str]:
        """What it says of an edit, and why."""
        one = resource(edit.before)
        olds = self.checked(edit.before)
        try:
            news = self.checked(edit.after, olds)
            found = self._provider.diff(one, olds, news)
            if found.replaces:
                self.checked(edit.after)
                return REPLACE, ""
            if not found.changes:
                return SAME, ""
            self._provider.preview_update(one, (olds, self._outputs[title(edit.before)]), news)
        except ProviderError as error:
            return REFUSED, str(error)
        return UPDATE, ""


def judged(client: Client, edit: Edit) -> tuple[str, str]:
    """What the API server says of an edit in place, and why."""
    live = client.get(edit.before).body
    answer = client.apply(edit.after, manager=MANAGER, dry_run=True)
    if not answer.accepted:
        return REFUSED, answer.message
    return (SAME if _told(live) == _told(answer.body) else UPDATE), ""


def remade(client: Client, edit: Edit) -> tuple[str, str]:
    """What the API server says of the object that would replace the edited one."""
    metadata = {**edit.after["metadata"], "name": f"{edit.after['metadata']['name'][:40]}-anew".strip("-.")}
    answer = client.apply({**edit.after, "metadata": metadata}, manager=MANAGER, dry_run=True)
    return (REPLACE, "") if answer.accepted else (REFUSED, answer.message)


def agreed(client: Client, preview: Preview, edit: Edit, *, forced: bool = False) -> list[str]:
    """What the preview and the server say differently of an edit, if they do.

    Args:
        client: of the cluster that has the object.
        preview: has it too.
        edit: what is asked about.
        forced: whether the provider replaces although it need not.
    """
    told, why = preview.verdict(edit)
    real, because = judged(client, edit)
    anew = ""
    if told == REPLACE:
        anew, of_the_new = remade(client, edit)
        because = of_the_new or because
        own = forced or (edit.kind, edit.path) in OWN
        right = anew == REPLACE and (real == REFUSED or own or (real == SAME and edit.how == GONE))
    elif told == UPDATE and real == SAME:
        right = edit.how == GONE  # it was said, and was the default
    elif told == REFUSED:
        right = real == REFUSED or PUBLISHED in why
    elif real == REFUSED:
        foreign = not BUILT_IN.fullmatch(edit.before["apiVersion"])
        right = foreign or any(words in because for words in UNKNOWABLE)
    else:
        right = told == real
    if right:
        return []
    reasons = "" if edit.before["kind"] == "Secret" else f" ({why or because})"
    return [f"{edit}: the preview says {told}, the server {real} {anew}{reasons}"]


def resource(manifest: Manifest) -> Resource:
    """Who the engine would be asking about."""
    version = manifest["apiVersion"]
    token = f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"
    name = title(manifest).replace(" ", "-")
    return Resource(f"urn:pulumi:test::fixia::{token}::{name}", token, name)


def edits(manifest: Manifest) -> Iterator[Edit]:
    """Each property removed, changed, and of another type; one of several alike stands for all."""
    for keys, steps, value in _places(manifest, (), ()):
        for how, edited in _ways(value):
            after = copy.deepcopy(manifest)
            _put(after, steps, edited)
            yield Edit(manifest["kind"], ".".join(keys), how, manifest, after)


_GONE = object()


def _places(value: Any, keys: tuple[str, ...], steps: tuple[Any, ...]) -> Iterator[tuple[Any, Any, Any]]:
    if isinstance(value, dict):
        free = bool(keys) and keys[-1] in FREE
        for number, (key, item) in enumerate(value.items()):
            if (not keys and key in ("apiVersion", "kind", "metadata")) or (free and number):
                continue
            named = (*keys, "*" if free else key)
            yield named, (*steps, key), item
            yield from _places(item, named, (*steps, key))
        if not keys:
            for key in ("labels", "annotations"):
                if key in value["metadata"]:
                    yield ("metadata", key), ("metadata", key), value["metadata"][key]
                    yield from _places(value["metadata"][key], ("metadata", key), ("metadata", key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, keys, (*steps, index))


def _ways(value: Any) -> Iterator[tuple[str, Any]]:
    yield GONE, _GONE
    yield "of another type", {"odd": 1} if not isinstance(value, dict) else "odd"
    if isinstance(value, bool):
        yield "changed", not value
    elif isinstance(value, int):
        yield "one more", value + 1
        yield "negative", -1
    elif isinstance(value, str):
        yield "changed", f"{value}x"
    elif isinstance(value, dict):
        yield "with one more", {**value, "odd": "one"}
    elif isinstance(value, list) and value:
        yield "without its last", value[:-1]
        yield "with its last twice", [*value, value[-1]]


def _put(target: Any, steps: tuple[Any, ...], value: Any) -> None:
    for step in steps[:-1]:
        target = target[step]
    if value is _GONE:
        del target[steps[-1]]
    else:
        target[steps[-1]] = value


def _told(body: Manifest) -> Manifest:
    kept = {key: value for key, value in body["metadata"].items() if key not in _UNTOLD}
    return {**body, "metadata": kept}
