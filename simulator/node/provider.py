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
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2_grpc

from simulator.node import readiness, reasons
from simulator.node.client import Manifest
from simulator.node.cluster import DELETION_SECONDS, MANAGER, POLL_SECONDS, Cluster, refusal
from simulator.providers import kubernetes_ready as ready
from simulator.providers.core import Difference, NotReadyError, ProviderError, Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.server import LARGEST_MESSAGE, Servicer, await_end
from simulator.providers.store import CHANGED_OUTSIDE, Store
from simulator.providers.values import Properties, Secret, Value, get, is_known, merge, reveal, secret

CLUSTER: Final = "FIXIA_SIMULATOR_CLUSTER"
"""The environment variable that names the kubeconfig of the cluster to act on."""

AT_ONCE: Final = 100
"""How many objects may be waited for at the same time."""

PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
TELL_SECONDS: Final = 5.0
_ABSENT: Final = object()


class ClusterKubernetes(Kubernetes):
    """The provider of the `kubernetes` package, over the cluster of a kubeconfig."""

    def __init__(self, store: Store, failing: frozenset[str] = frozenset()) -> None:
        super().__init__(store, failing)
        self.cancelled = threading.Event()
        """Set when nothing is to be waited for any more."""
        self.tell: Callable[[Resource, str], None] = lambda _resource, _text: None
        """Takes what is being waited for."""
        self._cluster = Cluster(Path(os.environ[CLUSTER]), self.cancelled)
        self._made: set[str] = set()

    def close(self) -> None:
        """Forget the cluster's keys."""
        self._cluster.close()

    def preview_create(self, resource: Resource, inputs: Properties) -> Properties:
        """What the API server says that it would make; what it can't say yet is unknown."""
        outputs = super().preview_create(resource, inputs)
        if is_known(inputs):
            answer = self._cluster.apply(reveal(inputs), dry_run=True, force=_forced(inputs))
            # Its namespace, or its kind, may be of the same program and not be there yet.
            if not answer.accepted and answer.status != http.client.NOT_FOUND:
                raise ProviderError(refusal(answer))
        return outputs

    def preview_update(
        self, resource: Resource, old: tuple[Properties, Properties], news: Properties
    ) -> Properties:
        """What the API server says that a change would make."""
        if is_known(news):
            answer = self._cluster.apply(reveal(news), dry_run=True, force=_forced(news))
            if not answer.accepted and answer.status != http.client.NOT_FOUND:
                raise ProviderError(refusal(answer))
        return super(Kubernetes, self).preview_update(resource, old, news)

    def diff(self, resource: Resource, old_inputs: Properties, news: Properties) -> Difference:
        """What differs, and whether a Job that has failed in the cluster asks to be replaced."""
        found = super(Kubernetes, self).diff(resource, old_inputs, news)
        if found.replaces or not ready.replaces_unready(resource.type.rpartition(":")[2], news):
            return found
        live = self._cluster.get(reveal(old_inputs))
        if live is None or self._cluster.verdict(live).ready:
            return found
        first = self.deletes_before_replace(resource, old_inputs, news)
        return replace(found, because=(ready.UNREADY_PATH,), delete_first=first)

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
                reasons = [*self.explain(resource_id, "read"), verdict.waiting, *self._reasons(live)]
                raise NotReadyError(resource_id, outputs, reasons, inputs)
        return resource_id, inputs, outputs

    def delete(self, resource: Resource, resource_id: str, old_state: Properties) -> None:
        """Delete an object with what belongs to it, and wait until it is gone."""
        annotations = reveal(old_state).get("metadata", {}).get("annotations") or {}
        self._cluster.delete(
            _named(resource, resource_id, old_state),
            str(annotations.get(PROPAGATION, "foreground")).capitalize(),
            patience=resource.timeout or DELETION_SECONDS,
            wait=annotations.get(ready.SKIP_AWAIT) != "true",
        )

    def _adopts(self, live: Manifest) -> bool:
        """Whether an object that is there is what a run of ours was waiting for when it was interrupted.

        The engine forgot it, and asks for it anew. What this run has made itself is another's by that name.
        """
        owners = {entry.get("manager") for entry in live["metadata"].get("managedFields") or []}
        return MANAGER in owners and live["metadata"]["uid"] not in self._made

    def _applied(self, manifest: Manifest) -> None:
        answer = self._cluster.apply(manifest, force=_forced(manifest))
        if not answer.accepted:
            raise ProviderError(refusal(answer))
        self._made.add(answer.body["metadata"]["uid"])

    def _awaited(self, verb: str, resource: Resource, resource_id: str, inputs: Properties) -> Properties:
        """Wait until an object works; the engine keeps one that does not, with the reasons."""
        manifest = reveal(inputs)
        deadline = time.monotonic() + readiness.timeout(manifest, resource.timeout)
        told = ""
        while True:
            live = self._cluster.get(manifest)
            if live is None:
                raise ProviderError(f"{resource_id}: somebody deleted it while it was waited for")
            outputs = self._shown(resource, inputs, live)
            verdict = self._cluster.verdict(live)
            if verdict.ready or not self.waits(resource, inputs, verb):
                return outputs
            if verdict.failed or time.monotonic() > deadline or self.cancelled.is_set():
                reasons = [*self.explain(resource_id, verb), verdict.waiting, *self._reasons(live)]
                raise NotReadyError(resource_id, outputs, reasons)
            if verdict.waiting != told:
                told = verdict.waiting
                self.tell(resource, told)
            self.cancelled.wait(POLL_SECONDS)

    def _reasons(self, live: Manifest) -> list[str]:
        """What its pods say; nothing where the engine does not want to hear."""
        return [] if self.cancelled.is_set() else reasons.reasons(self._cluster, live)

    def _shown(self, resource: Resource, inputs: Properties, live: Manifest) -> Properties:
        """An object as outputs: what the server has, with what is secret in the inputs marked so."""
        plain = {**live, "metadata": {k: v for k, v in live["metadata"].items() if k != "managedFields"}}
        if live["kind"] == "Secret":
            plain["data"] = secret(plain.get("data") or {})
            return {**plain, **{name: inputs[name] for name in ("stringData",) if name in inputs}}
        return self._outputs(resource, inputs, plain)


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


def _forced(inputs: Properties) -> bool:
    """Whether an object asks for what others own of it."""
    return bool(get(inputs, "metadata", "annotations", readiness.FORCE) == "true")


class _Servicer(Servicer):
    """The face of the provider, which stops waiting when the engine is told to stop."""

    def __init__(self, provider: ClusterKubernetes) -> None:
        super().__init__(provider)
        self._waiting = provider

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802 - the interface's
        self._waiting.cancelled.set()
        return super().Cancel(request, context)


class _Teller:
    """Shows beside a resource what it is waited for.

    Args:
        address: the engine's.
    """

    def __init__(self, address: str) -> None:
        self._engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def tell(self, resource: Resource, text: str) -> None:
        """Show a line until there is another; an engine that does not listen is no reason to stop."""
        line = engine_pb2.LogRequest(
            severity=engine_pb2.LogSeverity.Value("INFO"), message=text, urn=resource.urn, ephemeral=True
        )
        with contextlib.suppress(grpc.RpcError):
            self._engine.Log(line, timeout=TELL_SECONDS)


def main() -> None:
    """Serve the provider as the engine's plugin, until a signal comes."""
    # As in `simulator.providers`: taken by this thread alone, and at once.
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    provider = ClusterKubernetes(Store())
    if len(sys.argv) > 1:  # the engine's own address
        provider.tell = _Teller(sys.argv[1]).tell
    # As `simulator.providers.server.serve`, with more at once: the simulated ones wait for nothing.
    options = [(f"grpc.max_{way}_message_length", LARGEST_MESSAGE) for way in ("send", "receive")]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=AT_ONCE), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(_Servicer(provider), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    await_end(ends)
    server.stop(None)
    provider.close()
    os._exit(0)


if __name__ == "__main__":
    main()
