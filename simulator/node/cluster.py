"""An API server as a provider uses it: by many threads, and while it is started again."""

import base64
import http.client
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import yaml

from simulator.node import readiness
from simulator.node.client import Answer, Client, Manifest, Refused
from simulator.node.pki import Identity
from simulator.providers.core import ProviderError

MANAGER: Final = "pulumi-kubernetes"
POLL_SECONDS: Final = 0.5
DELETION_SECONDS: Final = 600.0

UNSEEN_SECONDS: Final = 15.0
"""How long a server is waited for that has never answered: its address may be wrong."""
SEEN_SECONDS: Final = 120.0
"""How long one is waited for that has answered: it is started again."""

_AWAY: Final = (http.client.BAD_GATEWAY, http.client.SERVICE_UNAVAILABLE, http.client.GATEWAY_TIMEOUT)
_BUSY: Final = (http.client.TOO_MANY_REQUESTS, http.client.INTERNAL_SERVER_ERROR)
"""What is asked again a few times: the second is also what the server says to some objects, for ever."""
_TRIES: Final = 4
_WAITS_FOR_A_POD: Final = "WaitForFirstConsumer"
_CONFLICT: Final = "FieldManagerConflict"


class Cluster:
    """An API server.

    Args:
        kubeconfig: the file whose current context names it, with its keys inside.
        cancelled: set when nothing is to be waited for any more.
    """

    def __init__(self, kubeconfig: Path, cancelled: threading.Event | None = None) -> None:
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
        self._cancelled = cancelled or threading.Event()
        self._seen = False

    def close(self) -> None:
        """Remove the keys' files."""
        self._folder.cleanup()

    def apply(self, manifest: Manifest, *, dry_run: bool = False, force: bool = False) -> Answer:
        """Apply an object under our name.

        Args:
            manifest: the object.
            dry_run: whether the server only says what would be.
            force: whether fields are taken from other managers.
        """

        def ask(client: Client) -> Answer:
            try:
                return client.apply(manifest, manager=MANAGER, dry_run=dry_run, force=force)
            except Refused as error:
                return replace(error.answer, status=http.client.NOT_FOUND, text=str(error))

        return self.ask(ask)

    def get(self, manifest: Manifest) -> Manifest | None:
        """Return an object as it is, None if there is none.

        Args:
            manifest: names it.

        Raises:
            ProviderError: the server refuses to say.
        """

        def ask(client: Client) -> Answer:
            try:
                return client.get(manifest)
            except Refused as error:
                return replace(error.answer, status=http.client.NOT_FOUND)

        answer = self.ask(ask)
        if answer.status == http.client.NOT_FOUND:
            return None
        if not answer.accepted:
            raise ProviderError(answer.message)
        return answer.body

    def listed(self, path: str, **query: str) -> list[Manifest]:
        """Return the objects of a collection; none where we may not see them.

        Args:
            path: the collection's.
            query: what to select by, such as `labelSelector`.
        """
        items: list[Manifest] = (
            self.ask(lambda client: client.request("GET", path, query=query)).body.get("items") or []
        )
        return items

    def text(self, path: str, **query: str) -> str:
        """Return what is no object, such as a log; empty where the server does not give it.

        Args:
            path: where it is.
            query: the query's parameters.
        """
        answer = self.ask(lambda client: client.request("GET", path, query=query), tries=1)
        return answer.text if answer.accepted else ""

    def delete(
        self,
        manifest: Manifest,
        propagation: str = "Foreground",
        *,
        patience: float = DELETION_SECONDS,
        wait: bool = True,
    ) -> None:
        """Delete an object and what belongs to it; wait until it is gone, or another has its name.

        Args:
            manifest: names it.
            propagation: `Foreground`, `Background` or `Orphan`: what becomes of what belongs to it.
            patience: seconds.
            wait: whether to wait.

        Raises:
            ProviderError: the server refuses, or something keeps the object.
        """
        live = self.get(manifest)
        if live is None:
            return
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        answer = self.ask(lambda client: client.request("DELETE", client.path(manifest), options))
        if not answer.accepted and answer.status != http.client.NOT_FOUND:
            raise ProviderError(answer.message)
        deadline = time.monotonic() + patience
        while wait and (now := self.get(manifest)) and now["metadata"]["uid"] == live["metadata"]["uid"]:
            if time.monotonic() > deadline or self._cancelled.is_set():
                raise ProviderError(_kept(now, patience))
            self._cancelled.wait(POLL_SECONDS)

    def verdict(self, live: Manifest) -> readiness.Verdict:
        """Tell whether an object works.

        Args:
            live: the object as it is now.
        """

        def endpoints() -> bool:
            metadata = live["metadata"]
            slices = self.listed(
                f"/apis/discovery.k8s.io/v1/namespaces/{metadata['namespace']}/endpointslices",
                labelSelector=f"kubernetes.io/service-name={metadata['name']}",
            )
            points = [point for each in slices for point in each.get("endpoints") or []]
            return any(point.get("conditions", {}).get("ready") for point in points)

        def waits_for_a_pod() -> bool:
            name = live["spec"].get("storageClassName")
            named = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
            found = self.get(named) if name else None
            return bool(found and found.get("volumeBindingMode") == _WAITS_FOR_A_POD)

        return readiness.verdict(live, endpoints, waits_for_a_pod)

    def ask(self, request: Callable[[Client], Answer], tries: int = _TRIES) -> Answer:
        """Ask with this thread's own connection, again where the server is away, or busy for a moment.

        Args:
            request: what to ask.
            tries: how often to ask a server that is busy.

        Raises:
            ProviderError: it does not answer.
        """
        deadline = time.monotonic() + (SEEN_SECONDS if self._seen else UNSEEN_SECONDS)
        problem, busy = "it can not be reached", 0
        while True:
            try:
                answer = self._asked(request)
            except (OSError, http.client.HTTPException) as error:
                self._local.client = None
                problem = str(error) or problem
            else:
                problem = answer.message
                busy += answer.status in _BUSY
                if answer.status not in _AWAY and (answer.status not in _BUSY or busy >= tries):
                    self._seen = True
                    return answer
            if time.monotonic() > deadline or self._cancelled.is_set():
                raise ProviderError(f"{self._url} does not answer: {problem}")
            self._cancelled.wait(POLL_SECONDS)

    def _asked(self, request: Callable[[Client], Answer]) -> Answer:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = Client(self._url, self._authority, self._identity)
            # One that has just begun does not know all of its kinds yet, and would deny that they exist.
            begun = client.request("GET", "/readyz")
            if begun.status >= http.client.INTERNAL_SERVER_ERROR:
                client.close()
                return replace(begun, status=http.client.SERVICE_UNAVAILABLE)
            self._local.client = client
        return request(client)


def refusal(answer: Answer) -> str:
    """Say why the server does not take an object, and what to do if others own some of it.

    Args:
        answer: the refusal.
    """
    causes = answer.body.get("details", {}).get("causes") or []
    if not any(cause.get("reason") == _CONFLICT for cause in causes):
        return answer.message
    owned = "; ".join(f"{cause.get('message')}: {cause.get('field')}" for cause in causes)
    return (
        f"Server-Side Apply field conflict detected: {owned}. Leave the fields out of the program, end what "
        f'else sets them, or take them with the annotation {readiness.FORCE}: "true"'
    )


def _kept(live: Manifest, patience: float) -> str:
    """Why an object is still there."""
    finalizers = ", ".join(live["metadata"].get("finalizers") or ["none"])
    conditions = (live.get("status") or {}).get("conditions") or []
    said = [
        str(each.get("message"))
        for each in conditions
        if live["kind"] == "Namespace" and each["status"] == "True"
    ]
    return "; ".join([f"{live['kind']} is not gone after {patience:.0f} s; finalizers: {finalizers}", *said])


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
