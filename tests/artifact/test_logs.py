"""From a container's line to an answer of Loki: the real programs, with the files that their pods are given."""

import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.artifact.logs_world import OWN_NAMESPACE, POD, LogsWorld, plain
from tests.artifact.pod import PATIENCE_SECONDS, eventually
from tests.unit.test_boards import BOARDS, lines

pytestmark = [pytest.mark.heavy, pytest.mark.build]

API = '{namespace="fixia-app", workload="api"}'

SECRETS = {
    "a field of JSON": (
        '{"level":"info","msg":"sign in","password":"correct horse","user":"ann"}',
        "correct horse",
    ),
    "a field in a field": ('{"level":"info","body":{"new_password":"battery\\"staple"}}', "staple"),
    "JSON in JSON": ('{"msg":"got {\\"client_secret\\":\\"s3cr3t-value\\"}"}', "s3cr3t-value"),
    "a header": ("GET /me Authorization: Bearer abcdefghijklmnop.qrstuv", "abcdefghijklmnop"),
    "a header of basic": ("authorization=Basic YW5uOmh1bnRlcjI=", "YW5uOmh1bnRlcjI"),
    "a cookie": ("Cookie: session=0123456789abcdef", "0123456789abcdef"),
    "a password in an address": ("connecting to postgres://app:hunter2@db:5432/fixia", "hunter2"),
    "an argument": ("started with --db-password=hunter2 --port=1", "hunter2"),
    "a parameter": ("GET /reset?token=abc123def456&lang=es", "abc123def456"),
    "a signed token": ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl here", "eyJzdWIi"),
    "a key of AWS": ("using AKIAIOSFODNN7EXAMPLE now", "AKIAIOSFODNN7EXAMPLE"),
    "a token of GitHub": ("pushed with ghp_0123456789abcdefABCDEF0123456789abcd", "ghp_0123456789"),
    "a card": ("charged 4111 1111 1111 1111 today", "4111 1111 1111 1111"),
    "another card": ("charged 378282246310005 today", "378282246310005"),
    "a private key": ("-----BEGIN EC PRIVATE KEY-----MHcCAQEEIabc-----END EC PRIVATE KEY-----", "MHcCAQEEI"),
}

LEVELS = {
    '{"level":"error","msg":"levels json"}': "error",
    '{"level":50,"msg":"levels number"}': "error",
    '{"severity":"WARNING","msg":"levels severity"}': "warn",
    '{"level":"info","record":{"error_severity":"FATAL","message":"levels nested"}}': "fatal",
    "ts=2026-01-01 level=warn msg=levels-logfmt": "warn",
    "2026-01-01 00:00:00 UTC [7] ERROR:  levels of PostgreSQL": "error",
    "E0102 03:04:05.000000       1 levels.go:7] glog": "error",
    "levels: nothing says how bad it is, error or not": "info",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LogsWorld]:
    made = LogsWorld(tmp_path_factory.mktemp("logs"))
    with made.loki(), made.collector():
        yield made


def one(world: LogsWorld, query: str) -> tuple[dict[str, str], str]:
    labels, line = eventually(lambda: world.found(query), f"{query} finds something")[0]
    return dict(labels), line


def test_a_line_is_found_with_the_labels_of_who_wrote_it(world: LogsWorld) -> None:
    world.write("first light", stream="stderr")
    labels, line = one(world, f'{{namespace="fixia-app", workload="api", pod="{POD}"}} |= "first light"')
    assert line == "first light"
    assert labels["container"] == "api"
    assert labels["log_iostream"] == "stderr"
    kept = world.ask("/loki/api/v1/labels")["data"]
    assert set(kept) == {"namespace", "workload", "pod", "container"}, (
        "what is searched without being a label"
    )


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("api-7d9f8c6b5d-x2kzq", "api"),
        ("node-exporter-x2kzq", "node-exporter"),
        ("prometheus-0", "prometheus"),
        ("backups-dump-29384010-x2kzq", "backups-dump"),
        ("release-migrate-1a2b3c4d-x2kzq", "release-migrate"),
        ("kube-state-metrics-66f9f8c7bd-nq2wz", "kube-state-metrics"),
    ],
)
def test_a_pods_workload_is_read_off_its_name(world: LogsWorld, pod: str, workload: str) -> None:
    world.write("whose is it", pod=pod, namespace="fixia-names")
    assert one(world, f'{{namespace="fixia-names", pod="{pod}"}}')[0]["workload"] == workload


@pytest.mark.parametrize("what", SECRETS)
def test_a_secret_does_not_arrive(world: LogsWorld, what: str) -> None:
    line, secret = SECRETS[what]
    pod = f"secrets-{list(SECRETS).index(what)}"
    world.write(line, pod=pod)
    found = one(world, f'{{namespace="fixia-app", pod="{pod}"}}')[1]
    assert secret not in found
    assert "[redacted]" in found
    if line.startswith("{"):
        json.loads(found)  # what was JSON still is


def test_what_is_no_secret_arrives_as_it_was(world: LogsWorld) -> None:
    lines = [
        '{"level":"info","msg":"order 20261120160000 of 12 parts","id":"0b1c2d3e-1111-2222-3333-444455556666"}',
        "GET https://api.fixia.app/orders?page=2&sort=date 200 12ms",
        "author=ann basic plan, token bucket of 10",
    ]
    world.write(*lines, pod="harmless-0")
    eventually(lambda: len(world.found('{pod="harmless-0"}')) == len(lines), "all arrive")
    assert [line for _, line in world.found('{pod="harmless-0"}')] == lines


@pytest.mark.parametrize("line", LEVELS)
def test_how_bad_a_line_is_can_be_asked_for(world: LogsWorld, line: str) -> None:
    pod = f"levels-{list(LEVELS).index(line)}"
    world.write(line, pod=pod)
    assert one(world, f'{{pod="{pod}"}}')[0]["level"] == LEVELS[line]
    assert world.found(f'{{pod="{pod}"}} | level="{LEVELS[line]}"')


def test_a_lines_trace_can_be_asked_for(world: LogsWorld) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    world.write(json.dumps({"level": "info", "msg": "traced", "trace_id": trace, "span_id": span}))
    labels, _ = one(world, f'{API} | trace_id="{trace}"')
    assert labels["span_id"] == span


@pytest.mark.parametrize(
    "searched", ["", "PAID.*twice", "paid never"], ids=["nothing", "a pattern", "in vain"]
)
def test_the_board_of_lines_shows_what_is_looked_for(world: LogsWorld, searched: str) -> None:
    """Its questions as Grafana asks them, with the viewer's choices in their places."""
    levels = {"error": "board: paid twice", "info": "board: paid once"}
    world.write(*(json.dumps({"level": level, "msg": said}) for level, said in levels.items()), pod="board-0")
    eventually(lambda: len(world.found('{pod="board-0"}')) >= len(levels), "all arrive")
    choices = {"$namespace": "fixia-app", "$workload": "board", "$search": searched}
    found = {}
    for panel in lines(BOARDS["fixia-logs.json"]):
        (target,) = panel["targets"]
        question = re.sub(r"\$\w+", lambda match: choices[match[0]], target["expr"])
        found[panel["title"]] = {json.loads(line)["msg"] for _, line in world.found(question)}
    assert (
        found
        == {
            "": {"Errors": {levels["error"]}, "All": {*levels.values()}},
            "PAID.*twice": {"Errors": {levels["error"]}, "All": {levels["error"]}},
            "paid never": {"Errors": set(), "All": set()},
        }[searched]
    )


def test_a_long_line_is_put_together_again(world: LogsWorld) -> None:
    folder = world.nodes_logs / "fixia-app_long-0_0b1c2d3e-1111-2222-3333-444455556666" / "api"
    folder.mkdir(parents=True)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    (folder / "0.log").write_text(
        f"{moment}.000000001Z stdout P one half and \n{moment}.000000002Z stdout F the other\n"
    )
    assert one(world, '{pod="long-0"}')[1] == "one half and the other"


def test_its_own_lines_are_not_read(world: LogsWorld) -> None:
    world.write("an echo", namespace=OWN_NAMESPACE, pod="collector-x2kzq", container="collector")
    world.write("after the echo")
    one(world, f'{API} |= "after the echo"')
    assert not world.found(f'{{namespace="{OWN_NAMESPACE}"}}')


@pytest.mark.parametrize("shown", [None, "stranger-tls"])
def test_nobody_is_answered_without_a_certificate_of_the_authority(
    world: LogsWorld, shown: str | None
) -> None:
    for path in ("/ready", "/loki/api/v1/labels", "/config", "/metrics"):
        # The last word of a handshake may be read as an end of the connection.
        with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            world.ask(path, tls=shown)
    assert world.ask("/loki/api/v1/labels")["status"] == "success"


def test_the_port_without_tls_tells_of_no_line(world: LogsWorld) -> None:
    assert plain(world.status_port, "/ready")[0] == 200
    assert "loki_ingester_memory_streams" in plain(world.status_port, "/metrics")[1]
    for path in (
        "/loki/api/v1/labels",
        "/loki/api/v1/query?query={namespace=~%22.%2B%22}",
        "/loki/api/v1/push",
    ):
        assert plain(world.status_port, path)[0] == 404


def test_what_each_workload_writes_is_counted_and_goes_on_counting(world: LogsWorld) -> None:
    def counted() -> int:
        text = plain(world.ports["COUNTS_PORT"], "/metrics")[1]
        found = [
            re.search(r'log_records_total\{.*level="error".*workload="counted".*\} (\d+)', line)
            for line in text.splitlines()
            if "counted" in line
        ]
        return sum(int(each[1]) for each in found if each)

    world.write('{"level":"error"}', '{"level":"error"}', '{"level":"info"}', pod="counted-0")
    eventually(lambda: counted() == 2, "two errors")
    world.write('{"level":"error"}', pod="counted-1")
    world.write('{"level":"error"}', pod="counted-0")
    eventually(lambda: counted() == 4, "two more, one of another pod")
    text = plain(world.ports["COUNTS_PORT"], "/metrics")[1]
    assert 'namespace="fixia-app"' in text
    assert "pod=" not in text, "a series for each pod would be too many"


def test_the_collector_tells_what_the_alerts_ask_for(world: LogsWorld) -> None:
    world.write("measured")
    one(world, f'{API} |= "measured"')
    text = eventually(lambda: plain(world.ports["METRICS_PORT"], "/metrics")[1], "it tells of itself")
    for metric in ("otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity"):
        assert re.search(rf'^{metric}\{{.*exporter="otlp_http/logs"', text, re.MULTILINE), metric
    assert "otelcol_receiver_accepted_log_records_total" in text
    assert "otelcol_exporter_sent_log_records_total" in text


def test_loki_tells_what_the_alerts_ask_for(world: LogsWorld) -> None:
    def told(metric: str) -> bool:
        return f"{metric}" in plain(world.status_port, "/metrics")[1]

    world.write("asked for")
    one(world, f'{API} |= "asked for"')
    for metric in (
        'loki_request_duration_seconds_count{method="POST",route="otlp_v1_logs",status_code="204"',
        "loki_compactor_apply_retention_last_successful_run_timestamp_seconds",
    ):
        eventually(lambda metric=metric: told(metric), metric)  # type: ignore[misc]
    # What is a month old is refused, and counted.
    world.write("long ago", pod="late-0", at=time.time() - 40 * 86400)
    eventually(lambda: told("loki_discarded_samples_total{"), "what is refused is counted")
    assert not world.found('{pod="late-0"}', hours=50 * 24)


def test_it_is_kept_as_long_as_promised(world: LogsWorld) -> None:
    told = yaml.safe_load(world.ask("/config"))
    assert told["limits_config"]["retention_period"] == "30d"
    assert told["limits_config"]["max_query_lookback"] == "30d"
    assert told["compactor"]["retention_enabled"] is True
    assert told["compactor"]["delete_request_store"] == "filesystem"
    assert told["analytics"]["reporting_enabled"] is False


def test_while_loki_is_away_nothing_is_lost(tmp_path: Path) -> None:
    world = LogsWorld(tmp_path)
    lines = [f"line {number:04d}" for number in range(300)]
    with world.loki(), world.collector():
        world.write(*lines[:100])
        eventually(lambda: len(world.found(API)) == 100, "they arrive")
    with world.collector() as running:
        world.write(*lines[100:200])

        def queued() -> bool:
            text = plain(world.ports["METRICS_PORT"], "/metrics")[1]
            return bool(re.search(r"otelcol_exporter_queue_size\{.*otlp_http/logs.*\} [1-9]", text))

        eventually(queued, "they wait")
        with world.loki():
            world.write(*lines[200:])
            eventually(lambda: len(world.found(API)) >= 300, "all arrive", 3 * PATIENCE_SECONDS)
            assert [line for _, line in world.found(API)] == lines
        assert running.poll() is None
    # A new pod, whose disk is empty, reads everything again.
    with world.loki(), world.collector(data="another-disk"):
        world.write("the last")
        eventually(lambda: world.found(f'{API} |= "the last"'), "it arrives")
        assert [line for _, line in world.found(API)] == [*lines, "the last"]
