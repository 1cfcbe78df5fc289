"""A small client of the Kubernetes API: plain manifests in, plain objects and the server's warnings out."""

import contextlib
import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

from simulator.node.pki import Identity

Manifest = dict[str, Any]
"""An object of the API as plain data."""

TIMEOUT_SECONDS: Final = 60.0

_JSON: Final = "application/json"
_APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
_WARNING: Final = re.compile(r'^\d{3} \S+ "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server answered. Its body is not shown by `repr`: it may be a Secret.

    Attributes:
        status: the HTTP status.
        body: the object, or the `Status` that says what is wrong; empty when it was no JSON.
        text: the body as it came.
        warnings: what the server warns of.
    """

    status: int
    body: Manifest = field(repr=False)
    text: str = field(repr=False)
    warnings: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        """Whether the server did what it was asked."""
        return self.status < http.client.BAD_REQUEST

    @property
    def message(self) -> str:
        """What the server says of a refusal."""
        return f"{self.status}: {self.body.get('message') or self.text.strip()}"


class Refused(Exception):
    """The server refused a request that was to succeed."""

    def __init__(self, request: str, answer: Answer) -> None:
        super().__init__(f"{request}: {answer.message}")
        self.answer = answer


class Client:
    """A client with one kept connection, for one thread at a time.

    Args:
        url: the API server's address.
        authority: the file of the certificate authority that it is verified by.
        identity: who we are; nobody if left out.
    """

    def __init__(self, url: str, authority: Path, identity: Identity | None = None) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        if identity:
            context.load_cert_chain(identity.certificate, identity.key)
        address = urlsplit(url)
        self._connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, context=context, timeout=TIMEOUT_SECONDS
        )
        self._places: dict[tuple[str, str], _Place] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = _JSON,
    ) -> Answer:
        """Ask the server something.

        Args:
            method: `GET`, `POST`, ...
            path: the path, without a query.
            body: what to send.
            query: the query's parameters.
            content_type: what the body is.

        Raises:
            OSError: the server can't be reached.
            http.client.HTTPException: what answers does not speak HTTP.
        """
        response = self._respond(method, path, body, query, content_type)
        text = response.read().decode("utf-8", "replace")
        answer: Any = None
        with contextlib.suppress(ValueError):
            answer = json.loads(text)
        return Answer(
            status=response.status,
            body=answer if isinstance(answer, dict) else {},
            text=text,
            warnings=tuple(map(_warning, response.headers.get_all("Warning", []))),
        )

    def apply(
        self,
        manifest: Manifest,
        *,
        manager: str,
        dry_run: bool = False,
        force: bool = False,
    ) -> Answer:
        """Apply an object on the server's side, every field of it validated.

        Args:
            manifest: the object.
            manager: the name under which the fields are owned.
            dry_run: whether the server only says what would be.
            force: whether fields are taken from other managers.
        """
        query = {"fieldManager": manager, "force": str(force).lower(), **_judging(dry_run=dry_run)}
        return self.request("PATCH", self.path(manifest), manifest, query=query, content_type=_APPLY)

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        """Create an object, every field of it validated.

        Args:
            manifest: the object.
            dry_run: whether the server only says what would be.
        """
        collection = self._place(manifest).collection(manifest)
        return self.request("POST", collection, manifest, query=_judging(dry_run=dry_run))

    def get(self, manifest: Manifest) -> Answer:
        """Get an object as it is now.

        Args:
            manifest: names it: `apiVersion`, `kind` and `metadata`.
        """
        return self.request("GET", self.path(manifest))

    def update_status(self, manifest: Manifest) -> Answer:
        """Replace an object's status, as its controller does.

        Args:
            manifest: the object with its new status.
        """
        return self.request("PUT", f"{self.path(manifest)}/status", manifest)

    def watch(self, manifest: Manifest, *, patience: float = TIMEOUT_SECONDS) -> Iterator[Manifest]:
        """Give an object as it is, and then each time that it has changed.

        Args:
            manifest: names it.
            patience: seconds after which the server ends the watch.

        Yields:
            The object.

        Raises:
            Refused: it can't be watched.
        """
        collection = self._place(manifest).collection(manifest)
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={manifest['metadata']['name']}",
            "timeoutSeconds": f"{patience:.0f}",
        }
        response = self._respond("GET", collection, None, query, _JSON)
        try:
            if response.status != http.client.OK:
                text = response.read().decode("utf-8", "replace")
                raise Refused(
                    f"watch {collection}", Answer(status=response.status, body={}, text=text, warnings=())
                )
            for line in response:
                yield json.loads(line)["object"]
        finally:
            self.close()  # what is left unread of the stream would be taken for the next answer

    def path(self, manifest: Manifest) -> str:
        """Return an object's path.

        Args:
            manifest: names it.

        Raises:
            Refused: the server does not know its kind.
        """
        return f"{self._place(manifest).collection(manifest)}/{manifest['metadata']['name']}"

    def _place(self, manifest: Manifest) -> "_Place":
        """Find out how a kind's paths are made. Kinds that are added later are found when asked for."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        if (version, kind) not in self._places:
            prefix = f"/apis/{version}" if "/" in version else f"/api/{version}"
            answer = self.request("GET", prefix)
            for resource in answer.body.get("resources", []):
                if "/" not in resource["name"]:  # no subresource
                    place = _Place(prefix, resource["name"], resource["namespaced"])
                    self._places[version, resource["kind"]] = place
            if (version, kind) not in self._places:
                raise Refused(f"{version} {kind}, which the server does not know", answer)
        return self._places[version, kind]

    def _respond(
        self,
        method: str,
        path: str,
        body: Manifest | None,
        query: Mapping[str, str] | None,
        content_type: str,
    ) -> http.client.HTTPResponse:
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Accept": _JSON} | ({"Content-Type": content_type} if body is not None else {})
        try:
            self._connection.request(method, target, json.dumps(body) if body is not None else None, headers)
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException):
            self.close()  # or every later request would fail for the state that this one left
            raise


@dataclass(frozen=True)
class _Place:
    """Where the objects of a kind are."""

    prefix: str
    plural: str
    namespaced: bool

    def collection(self, manifest: Manifest) -> str:
        if not self.namespaced:
            return f"{self.prefix}/{self.plural}"
        namespace = manifest["metadata"].get("namespace", "default")
        return f"{self.prefix}/namespaces/{namespace}/{self.plural}"


def _judging(*, dry_run: bool) -> dict[str, str]:
    return {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})


def _warning(header: str) -> str:
    """The text of a `Warning` header: `299 - "text"`."""
    found = _WARNING.match(header)
    return re.sub(r"\\(.)", r"\1", found[1]) if found else header
