"""The kubernetes provider in front of a real API server: what it accepts happens.

Checks, names and differences are the simulated provider's. What is created, changed, read and deleted goes to
a cluster, by server-side apply, and is waited for as the official one does. The engine keeps what it kept.
"""
# ruff: noqa: ARG002 - the core's hooks

import base64
import contextlib
import http.client
import os
import signal
import tempfile
import threading
import time
from concurrent import futures
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import grpc
import yaml
from pulumi.runtime.proto import provider_pb2_grpc

from simulator.node import readiness
from simulator.node.client import Answer, Client, Manifest, Refused
from simulator.node.pki import Identity
from simulator.providers.core import NotReadyError, ProviderError, Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.server import LARGEST_MESSAGE, Servicer
from simulator.providers.store import CHANGED_OUTSIDE, Store
from simulator.providers.values import Properties, Secret, Value, is_known, merge, reveal, secret

CLUSTER: Final = "FIXIA_SIMULATOR_CLUSTER"
"""The environment variable that names the kubeconfig of the cluster to act on."""

MANAGER: Final = "pulumi-kubernetes"
AT_ONCE: Final = 100
"""How many objects may be waited for at the same time."""

PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
POLL_SECONDS: Final = 0.5
DELETION_SECONDS: Final = 600.0
_ABSENT: Final = object()
_RETRIED: Final = (http.client.TOO_MANY_REQUESTS, http.client.INTERNAL_SERVER_ERROR, 503, 504)
_TRIES: Final = 5


class ClusterKubernetes(Kubernetes):
    """The provider of the `kubernetes` package, over the cluster of a kubeconfig."""

    def __init__(self, store: Store, failing: frozenset[str] = frozenset()) -> None:
        super().__init__(store, failing)
        self._cluster = Cluster(Path(os.environ[CLUSTER]))
        self._made: set[str] = set()
        self.cancelled = threading.Event()
        """Set when nothing is to be waited for any more."""

    def close(self) -> None:
        """Forget the cluster's keys."""
        self._cluster.close()

    def preview_create(self, resource: Resource, inputs: Properties) -> Properties:
        """What the API server says that it would make; what it can't say yet is unknown."""
        outputs = super().preview_create(resource, inputs)
        if is_known(inputs):
            answer = self._cluster.apply(reveal(inputs), dry_run=True)
            # Its namespace, or its kind, may be of the same program and not be there yet.
            if not answer.accepted and answer.status != http.client.NOT_FOUND:
                raise ProviderError(answer.message)
        return outputs

    def preview_update(
        self, resource: Resource, old: tuple[Properties, Properties], news: Properties
    ) -> Properties:
        """What the API server says that a change would make."""
        if is_known(news):
            answer = self._cluster.apply(reveal(news), dry_run=True)
            if not answer.accepted and answer.status != http.client.NOT_FOUND:
                raise ProviderError(answer.message)
        return super(Kubernetes, self).preview_update(resource, old, news)

    def create(self, resource: Resource, inputs: Properties) -> tuple[str, Properties]:
        """Create an object and wait until it works."""
        resource_id = self.identity(resource, inputs) or ""
        manifest = reveal(inputs)
        live = self._cluster.get(manifest)
        if live is not None and not self._adopts(live):
            raise ProviderError(self.already_exists(resource, resource_id))
        self._applied(manifest)
        return resource_id, self._awaited("create", resource, resource_id, inputs)

    def update(
        self, resource: Resource, resource_id: str, old_state: Properties, news: Properties
    ) -> Properties:
        """Change an object and wait until it works again."""
        self._applied(reveal(news))
        return self._awaited("update", resource, resource_id, news)

    def read(
        self, resource: Resource, resource_id: str, old_inputs: Properties, old_state: Properties
    ) -> tuple[str, Properties, Properties]:
        """What the cluster has now."""
        named = _named(resource, resource_id, old_inputs or old_state)
        live = self._cluster.get(named)
        if live is None:
            return "", {}, {}
        inputs = projected(old_inputs, live) if old_inputs else _imported(live)
        outputs = self._shown(resource, inputs, live)
        if old_inputs and self.waits(resource, inputs, "read"):
            verdict = self._cluster.verdict(live)
            if not verdict.ready:
                reasons = [*self.explain(resource_id, "read"), verdict.waiting]
                raise NotReadyError(resource_id, outputs, reasons, inputs)
        return resource_id, inputs, outputs

    def delete(self, resource: Resource, resource_id: str, old_state: Properties) -> None:
        """Delete an object with what belongs to it, and wait until it is gone."""
        annotations = reveal(old_state).get("metadata", {}).get("annotations") or {}
        how = str(annotations.get(PROPAGATION, "foreground")).capitalize()
        self._cluster.delete(_named(resource, resource_id, old_state), how)

    def _adopts(self, live: Manifest) -> bool:
        """Whether an object that is there is what a run of ours was waiting for when it was interrupted.

        The engine forgot it, and asks for it anew. What this run has made itself is another's by that name.
        """
        owners = {entry.get("manager") for entry in live["metadata"].get("managedFields") or []}
        return MANAGER in owners and live["metadata"]["uid"] not in self._made

    def _applied(self, manifest: Manifest) -> None:
        answer = self._cluster.apply(manifest)
        if not answer.accepted:
            raise ProviderError(answer.message)
        self._made.add(answer.body["metadata"]["uid"])

    def _awaited(self, verb: str, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Wait until an object works; the engine keeps one that does not, with the reasons."""
        manifest = reveal(inputs)
        deadline = time.monotonic() + readiness.timeout(manifest)
        while True:
            live = self._cluster.get(manifest)
            if live is None:
                raise ProviderError(f"{resource_id}: somebody deleted it while it was waited for")
            outputs = self._shown(resource, inputs, live)
            verdict = self._cluster.verdict(live)
            if verdict.ready or not self.waits(resource, inputs, verb):
                return outputs
            if verdict.failed or time.monotonic() > deadline or self.cancelled.is_set():
                raise NotReadyError(resource_id, outputs, [*self.explain(resource_id, verb), verdict.waiting])
            self.cancelled.wait(POLL_SECONDS)

    def _shown(self, resource: Resource, inputs: Properties, live: Manifest) -> Properties:
        """An object as outputs: what the server has, with what is secret in the inputs marked so."""
        plain = {**live, "metadata": {k: v for k, v in live["metadata"].items() if k != "managedFields"}}
        if live["kind"] == "Secret":
            plain["data"] = secret(plain.get("data") or {})
            return {**plain, **{name: inputs[name] for name in ("stringData",) if name in inputs}}
        return self._outputs(resource, inputs, plain)


class Cluster:
    """An API server as the provider uses it, from many threads.

    Args:
        kubeconfig: the file whose current context names it, with its keys inside.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        context = _entry(config["contexts"], config["current-context"])["context"]
        cluster = _entry(config["clusters"], context["cluster"])["cluster"]
        user = _entry(config["users"], context["user"])["user"]
        self._folder = tempfile.TemporaryDirectory(prefix="fixia-cluster-")  # for as long as we live
        folder = Path(self._folder.name)
        self._authority = _file(folder, cluster, "certificate-authority")
        self._identity = Identity(
            certificate=_file(folder, user, "client-certificate"), key=_file(folder, user, "client-key")
        )
        self._url = str(cluster["server"])
        self._local = threading.local()

    def close(self) -> None:
        """Remove the keys' files."""
        self._folder.cleanup()

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        """Apply an object under our name.

        Args:
            manifest: the object.
            dry_run: whether the server only says what would be.
        """

        def ask(client: Client) -> Answer:
            try:
                return client.apply(manifest, manager=MANAGER, dry_run=dry_run)
            except Refused as error:
                return replace(error.answer, status=http.client.NOT_FOUND, text=str(error))

        return self._ask(ask)

    def get(self, manifest: Manifest) -> Manifest | None:
        """Return an object as it is, None if there is none."""

        def ask(client: Client) -> Answer:
            try:
                return client.get(manifest)
            except Refused as error:
                return replace(error.answer, status=http.client.NOT_FOUND)

        answer = self._ask(ask)
        if answer.status == http.client.NOT_FOUND:
            return None
        if not answer.accepted:
            raise ProviderError(answer.message)
        return answer.body

    def delete(self, manifest: Manifest, propagation: str = "Foreground") -> None:
        """Delete an object and what belongs to it; wait until it is gone, or another has its name.

        Args:
            manifest: names it.
            propagation: `Foreground`, `Background` or `Orphan`: what becomes of what belongs to it.
        """
        live = self.get(manifest)
        if live is None:
            return
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        answer = self._ask(lambda client: client.request("DELETE", client.path(manifest), options))
        if not answer.accepted and answer.status != http.client.NOT_FOUND:
            raise ProviderError(answer.message)
        deadline = time.monotonic() + DELETION_SECONDS
        while (now := self.get(manifest)) and now["metadata"]["uid"] == live["metadata"]["uid"]:
            if time.monotonic() > deadline:
                finalizers = ", ".join(now["metadata"].get("finalizers") or ["none"])
                raise ProviderError(
                    f"{manifest['kind']} is not gone after 10 minutes; finalizers: {finalizers}"
                )
            time.sleep(POLL_SECONDS)

    def verdict(self, live: Manifest) -> readiness.Verdict:
        """Tell whether an object works."""

        def endpoints() -> bool:
            metadata = live["metadata"]
            path = f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices"
            query = {"labelSelector": f"kubernetes.io/service-name={metadata['name']}"}
            slices = (
                self._ask(lambda client: client.request("GET", path, query=query)).body.get("items") or []
            )
            points = [point for each in slices for point in each.get("endpoints") or []]
            return any(point.get("conditions", {}).get("ready") for point in points)

        return readiness.verdict(live, endpoints)

    def _ask(self, request: Any) -> Answer:
        """Ask with this thread's own connection, once more where the server was only busy."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = Client(self._url, self._authority, self._identity)
        problem = ""
        for attempt in range(_TRIES):
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer: Answer = request(client)
                if answer.status not in _RETRIED:
                    return answer
                problem = answer.message
            time.sleep(POLL_SECONDS * attempt)
        raise ProviderError(f"{self._url} does not answer: {problem or 'it can not be reached'}")


def projected(known: Value, live: Value) -> Value:
    """What the cluster has, in the shape of what was asked for: what others added is left out.

    Args:
        known: what was asked for, secrets marked.
        live: what is there.
    """
    if isinstance(known, Secret):
        return Secret(projected(known.value, live))
    if isinstance(known, dict) and isinstance(live, dict):
        found = {key: projected(value, live[key]) for key, value in known.items() if key in live}
        if "stringData" in known:
            found["stringData"] = _string_data(known["stringData"], live.get("data") or {})
        return found
    if isinstance(known, list) and isinstance(live, list) and len(known) == len(live):
        return [projected(one, other) for one, other in zip(known, live, strict=True)]
    return live


def _string_data(known: Value, data: dict[str, str]) -> Value:
    """A Secret's `stringData` is for writing only; what it made is in `data`."""
    inner = known.value if isinstance(known, Secret) else known
    found = {}
    for key, value in inner.items():
        stored = data.get(key, _ABSENT)
        if stored is not _ABSENT:
            same = base64.b64encode(str(reveal(value)).encode()).decode() == stored
            found[key] = value if same else Secret(CHANGED_OUTSIDE)
    return Secret(found) if isinstance(known, Secret) else found


def _imported(live: Manifest) -> Properties:
    kept = ("name", "namespace", "labels", "annotations")
    metadata = {key: value for key, value in live["metadata"].items() if key in kept}
    found = {key: value for key, value in live.items() if key != "status"}
    inputs: Properties = merge(found, {})
    inputs["metadata"] = metadata
    if live["kind"] == "Secret" and "data" in inputs:
        inputs["data"] = secret(inputs["data"])
    return inputs


def _named(resource: Resource, resource_id: str, properties: Properties) -> Manifest:
    """An object by its name alone: `namespace/name` or `name`."""
    namespace, _, name = resource_id.rpartition("/")
    version = resource.type.split(":")[1].removeprefix("core/")
    plain = reveal(properties)
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": plain.get("apiVersion") or version,
        "kind": plain.get("kind") or resource.type.rpartition(":")[2],
        "metadata": metadata,
    }


def _entry(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _file(folder: Path, entry: dict[str, Any], key: str) -> Path:
    """A key's file; one that is in the kubeconfig itself is written to a folder of ours."""
    if key in entry:
        return Path(entry[key])
    file = folder / key
    file.touch(mode=0o600)
    file.write_bytes(base64.b64decode(entry[f"{key}-data"]))
    return file


class _Servicer(Servicer):
    """The face of the provider, which stops waiting when the engine is told to stop."""

    def __init__(self, provider: ClusterKubernetes) -> None:
        super().__init__(provider)
        self._waiting = provider

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802 - the interface's
        self._waiting.cancelled.set()
        return super().Cancel(request, context)


def main() -> None:
    """Serve the provider as the engine's plugin, until a signal comes."""
    # As in `simulator.providers`: taken by this thread alone, and at once.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    provider = ClusterKubernetes(Store())
    # As `simulator.providers.server.serve`, with more at once: the simulated ones wait for nothing.
    options = [(f"grpc.max_{way}_message_length", LARGEST_MESSAGE) for way in ("send", "receive")]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=AT_ONCE), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(_Servicer(provider), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    signal.sigwait(ends)
    server.stop(None)
    provider.close()
    os._exit(0)


if __name__ == "__main__":
    main()
