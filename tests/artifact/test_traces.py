"""From a workload's span to an answer of Jaeger: the real programs, with the files that their pods are given."""

import re
import signal
import ssl
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.monitoring.traces_alerts import of_store
from tests.artifact.logs_world import plain
from tests.artifact.pod import PATIENCE_SECONDS, eventually
from tests.artifact.sample_app import application_or_skip, copy_of
from tests.artifact.test_alert_metrics import asked
from tests.artifact.traces_world import TracesWorld, new_trace

pytestmark = [pytest.mark.heavy, pytest.mark.build]

REFUSALS = (ssl.SSLError, urllib.error.URLError, ConnectionError)
"""The last word of a handshake may be read as an end of the connection."""

SECRETS = {
    "db.password": ("hunter2", "hunter2"),
    "http.request.header.authorization": ("Bearer abcdefghijklmnop", "abcdefghijklmnop"),
    "url.full": ("https://api.fixia.app/reset?token=abc123def456&lang=es", "abc123def456"),
    "db.connection_string": ("postgres://app:correct-horse@db:5432/fixia", "correct-horse"),
    "note": ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl here", "eyJzdWIi"),
    "paid.with": ("4111 1111 1111 1111", "4111 1111"),
}
"""An attribute -> what somebody put into it, and what of it nobody may see."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracesWorld]:
    made = TracesWorld(tmp_path_factory.mktemp("traces"))
    with made.jaeger(), made.collector():
        yield made


def metrics(world: TracesWorld) -> str:
    return plain(world.jaeger_ports["metrics_port"], "/metrics")[1]


def test_a_span_of_a_workload_is_found_by_its_traces_id(world: TracesWorld) -> None:
    trace = new_trace()
    assert (
        world.send("GET /orders", "SELECT orders", trace=trace, attributes={"http.route": "/orders"}) == 200
    )
    eventually(lambda: len(world.spans(trace)) == 2, "Jaeger has both")
    found = world.spans(trace)
    assert [span["operationName"] for span in found] == ["GET /orders", "SELECT orders"]
    tags = {tag["key"]: tag["value"] for tag in found[0]["tags"]}
    assert tags["http.route"] == "/orders"
    # What Grafana asks for its lists.
    assert world.query("/api/services")["data"] == ["api"]
    listed = world.query("/api/traces?service=api&lookback=1h&limit=20")["data"]
    assert trace in {each["traceID"] for each in listed}


def test_a_secret_in_an_attribute_does_not_arrive(world: TracesWorld) -> None:
    trace = new_trace()
    world.send("sign in", trace=trace, attributes={name: value for name, (value, _) in SECRETS.items()})
    (span,) = eventually(lambda: world.spans(trace), "Jaeger has it")
    for name, (_, secret) in SECRETS.items():
        assert secret not in str(span), name
    kept = {tag["key"]: tag["value"] for tag in span["tags"]}
    assert kept["url.full"] == "https://api.fixia.app/reset?token=[redacted]&lang=es"
    (said,) = span["logs"]
    assert "[redacted]" in str(said), "an event's attributes too"


@pytest.mark.parametrize("shown", [None, "stranger-tls"])
def test_nobody_writes_or_asks_without_a_certificate_of_the_authority(
    world: TracesWorld, shown: str | None
) -> None:
    trace = new_trace()
    for port in (world.ports["OTLP_PORT"], world.jaeger_ports["otlp_port"]):
        with pytest.raises(REFUSALS):
            world.send("intruder", trace=trace, tls=shown, port=port)
    for path in ("/api/services", f"/api/traces/{trace}", "/", "/api/v3/services"):
        with pytest.raises(REFUSALS):
            world.query(path, tls=shown)
    assert world.query("/api/services") is not None
    assert world.spans(trace) == []


def test_the_ports_without_tls_tell_of_no_trace(world: TracesWorld) -> None:
    assert plain(world.jaeger_ports["health_port"], "/status")[0] == 200
    for name in ("health_port", "metrics_port"):
        for path in ("/api/services", "/api/traces?service=api", "/v1/traces", "/config"):
            code, said = plain(world.jaeger_ports[name], path)
            assert code in (404, 405) or ("Badger" not in said and "api" not in said), (name, path)


def test_what_is_no_trace_is_refused_and_jaeger_goes_on(world: TracesWorld) -> None:
    trace = new_trace()
    assert world.send("of a strange id", trace="nonsense", port=world.jaeger_ports["otlp_port"]) == 400
    assert world.send("as it should be", trace=trace, port=world.jaeger_ports["otlp_port"]) == 200
    assert len(world.spans(trace)) == 1, "what is acknowledged is there at once"


def test_a_killed_store_loses_nothing_and_the_queue_delivers_the_rest(tmp_path: Path) -> None:
    world = TracesWorld(tmp_path)
    before, meanwhile, after = new_trace(), new_trace(), new_trace()
    with world.collector():
        with world.jaeger() as running:
            assert world.send("before", trace=before, port=world.jaeger_ports["otlp_port"]) == 200
            # No word of farewell: acknowledged a moment ago.
            running.send_signal(signal.SIGKILL)
            eventually(lambda: running.poll() is not None, "it is gone")
        assert world.send("meanwhile", trace=meanwhile) == 200
        with pytest.raises(REFUSALS):
            world.query("/api/services")
        with world.jaeger():
            assert [span["operationName"] for span in world.spans(before)] == ["before"]
            assert world.send("after", trace=after) == 200
            for trace in (meanwhile, after):
                eventually(lambda trace=trace: world.spans(trace), "it arrives", 3 * PATIENCE_SECONDS)  # type: ignore[misc]


def test_the_sample_application_sends_its_requests_by_the_makers_sdk(
    world: TracesWorld, tmp_path: Path
) -> None:
    tls = world.folder / "api-tls"
    told = {
        "LINGER_SECONDS": "0",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://localhost:{world.ports['OTLP_PORT']}",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": f"{tls}/ca.crt",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": f"{tls}/tls.crt",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": f"{tls}/tls.key",
        "OTEL_SERVICE_NAME": "web",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "1",
    }
    app, log = application_or_skip(tmp_path), tmp_path / "web.log"
    with copy_of(app, ["web"], told, address="127.0.0.1", log=log) as web:
        assert plain(web.pod[1], "/")[0] == 200
        assert plain(web.pod[1], "/health")[0] == 200

        def lines() -> list[str]:
            return re.findall(r'"trace_id":"([0-9a-f]{32})"', log.read_text())

        # The line says which trace it is, and the probe has none.
        (trace,) = set(eventually(lines, "the request's line"))
        (span,) = eventually(lambda: world.spans(trace), "Jaeger has it")
        assert span["operationName"].startswith("GET /")


def overflown(world: TracesWorld) -> str:
    """What a collector tells of itself whose queue is full, for nobody takes the spans."""
    names, long = ["a"] * 50, {"long": "x" * 20_000}
    with world.collector():
        # One answer after the other, and none waits for Jaeger.
        answers = [world.send(*names, trace=new_trace(), attributes=long) for _ in range(12)]
        assert answers[0] == 200
        assert answers[-1] in (429, 503), "what does not fit is refused, and the workload told so"
        return plain(world.ports["METRICS_PORT"], "/metrics")[1]


def test_every_alert_asks_for_what_is_told(world: TracesWorld, tmp_path: Path) -> None:
    world.send("measured", trace=new_trace(), port=world.jaeger_ports["otlp_port"])
    told = metrics(world) + overflown(TracesWorld(tmp_path))
    for alert in of_store("traces"):
        for name in asked(alert.expression).keys() - {"up"}:
            labels = asked(alert.expression)[name] - {"job"}
            found = re.findall(rf"^{name}\{{(.*)\}} ", told, re.MULTILINE)
            assert found, f"{alert.name}: {name}"
            assert all(f'{label}="' in found[0] for label in labels), f"{alert.name}: {name} by {labels}"
