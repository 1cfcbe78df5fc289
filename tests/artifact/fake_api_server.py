"""As much of a Kubernetes API server as a controller needs to list and watch; it notes who asked for what."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
Call = tuple[str, str, str, str]
"""Verb, API group, resource, and namespace (empty for what belongs to the whole cluster)."""


class FakeApiServer:
    """Objects by resource, and a stream of changes for each watch.

    Use it as a context manager: it listens on a free port of the loopback.
    """

    def __init__(self) -> None:
        self.calls: set[Call] = set()
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._watchers: list[tuple[str, str, queue.Queue[Object | None]]] = []
        self._lock = threading.Lock()
        self._version = 1
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                world.answer(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeApiServer":
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            for *_kind, changes in self._watchers:
                changes.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, resource: str, kind: str, api_version: str, inputs: Object) -> None:
        """Make or change an object and tell the watchers."""
        with self._lock:
            self._version += 1
            metadata = {"uid": f"{kind}-{inputs['metadata']['name']}", **inputs["metadata"]}
            metadata["resourceVersion"] = str(self._version)
            made = {**inputs, "kind": kind, "apiVersion": api_version, "metadata": metadata}
            key = (metadata.get("namespace", ""), metadata["name"])
            there = self._objects.setdefault(resource, {})
            event = {"type": "MODIFIED" if key in there else "ADDED", "object": made}
            there[key] = made
            for watched, namespace, changes in self._watchers:
                if (watched, namespace) == (resource, key[0]):
                    changes.put(event)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        url = urlsplit(handler.path)
        parts = url.path.strip("/").split("/")
        group = parts[1] if parts[0] == "apis" else ""
        namespace = parts[parts.index("namespaces") + 1] if "namespaces" in parts else ""
        resource = parts[-1]
        watches = parse_qs(url.query).get("watch", ["0"])[0] in ("1", "true")
        with self._lock:
            self.calls.add(("watch" if watches else "list", group, resource, namespace))
            items = [item for key, item in self._objects.get(resource, {}).items() if key[0] == namespace]
            version = str(self._version)
            changes: queue.Queue[Object | None] = queue.Queue()
            if watches:
                since = int(parse_qs(url.query).get("resourceVersion", ["0"])[0])
                for item in items:  # changed between the list and the watch
                    if int(item["metadata"]["resourceVersion"]) > since:
                        changes.put({"type": "MODIFIED", "object": item})
                self._watchers.append((resource, namespace, changes))
        if watches:
            self._stream(handler, changes)
            return
        body = json.dumps(
            {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}
        ).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def _stream(handler: BaseHTTPRequestHandler, changes: queue.Queue[Object | None]) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.flush()
        while (change := changes.get()) is not None:
            try:
                handler.wfile.write(json.dumps(change).encode() + b"\n")
                handler.wfile.flush()
            except OSError:  # the watcher is gone
                return
