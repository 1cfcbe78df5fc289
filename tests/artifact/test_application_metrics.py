"""What the alerts on the product ask for is told: by the application, and by the entrance."""

import http.client
import json
import re
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from components.monitoring.application_alerts import at_entrance
from tests.artifact.entrance_world import PATIENCE_SECONDS, asked, traefik, upstream, world
from tests.artifact.pod import eventually
from tests.artifact.sample_app import AppPod, Copy, application_or_skip, copy_of, deployed, run, servers
from tests.artifact.test_alert_metrics import RUN, scrape, scraped, unseen
from tests.recorder import Recording


def posts(copy: Copy, path: str, body: object, token: str = "") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    with closing(http.client.HTTPConnection(*copy.pod, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def used(api: Copy) -> None:
    """Somebody comes, pays, and has something done later."""
    account = {"email": "somebody@example.invalid", "password": "correct horse battery"}
    status, told = posts(api, "/auth/signup", account)
    assert status == 201, told
    assert posts(api, "/auth/login", {**account, "password": "a wrong password"})[0] == 401
    assert posts(api, "/payments/test", {"cents": 100, "currency": "EUR"}, told["token"])[0] == 201
    assert posts(api, "/jobs", {"text": "later"}, told["token"])[0] == 202


def test_the_application_tells_what_is_asked_for(recordings: Mapping[str, Recording], tmp_path: Path) -> None:
    app, copies = application_or_skip(tmp_path), {}
    with servers(app) as services, ExitStack() as stack:
        for role in ("api", "worker", "realtime"):
            spec = deployed(recordings["staging"], role)
            (container,) = spec["containers"]
            pod = AppPod(tmp_path / role, recordings["staging"], spec, services)
            environment = pod.environment(container["name"])
            if role == "api":
                migrated = run(app, ["migrate"], environment, tmp_path / "migrate.log")
                assert migrated.code == 0, migrated.output
            log = tmp_path / f"{role}.log"
            copies[role] = stack.enter_context(
                copy_of(app, container["args"], environment, address="127.0.0.1", log=log)
            )
        used(copies["api"])

        def nothing_is_missing() -> bool:
            seen: dict[str, set[str]] = {}
            for copy in copies.values():
                for name, labels in (scrape(copy.metrics) or {}).items():
                    seen.setdefault(name, set()).update(labels)
            return unseen(RUN["the application"], seen) == []

        # The job is done after a while.
        eventually(nothing_is_missing, "everything is told")


def test_the_entrance_tells_what_is_asked_for(tmp_path: Path) -> None:
    program = traefik()

    def counted(metrics: str, service: str, **labels: str) -> bool:
        wanted = {"service": at_entrance("fixia-app", service), **labels}
        lines = [line for line in metrics.splitlines() if line.startswith("traefik_router_requests_total{")]
        return any(all(f'{label}="{value}"' in line for label, value in wanted.items()) for line in lines)

    with upstream("first") as pod, world(program, tmp_path, [pod]) as here:
        assert here.ask("api.test").status == 200
        metrics = here.metrics()
        assert unseen(RUN["the entrance"], scraped(metrics)) == []
        assert re.search(r'traefik_router_request_duration_seconds_bucket\{.*le="0.5"', metrics)
        assert counted(metrics, "api", code="200", protocol="http")

        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        assert here.ask("ws.test", "/ws", headers={**upgrade, "Sec-WebSocket-Version": "13"}).status == 101
        eventually(lambda: counted(here.metrics(), "ws", protocol="websocket"), "the conversation is counted")

        # What no pod was asked is counted too: refusals, and a service without pods.
        with here.connection("api.test") as connection:
            assert any(asked(connection).status == 429 for _ in range(1000))
        assert counted(here.metrics(), "api", code="429")
        here.endpoints("site", [])
        assert here.ask("site.test").status == 503
        assert counted(here.metrics(), "site", code="503")
