"""Who may do what in the real cache: each of its users its part, and nothing else."""

import os
import shutil
from pathlib import Path

import pytest

from simulator import processes
from tests.artifact.cache_pod import PASSWORD, PREVIOUS, ROOT, CachePod, Client, Refused
from tests.artifact.sample_app import application_or_skip

CLIENTS = Path(__file__).with_name("cache_clients.mjs")
CHANGES_THE_SERVER = (
    "ACL SETUSER default +@all",
    "ACL LIST",
    "ACL DELUSER operator",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT KILL TYPE normal",
    "CLIENT PAUSE 60000",
    "CLUSTER RESET",
    "CONFIG RESETSTAT",
    "CONFIG REWRITE",
    "FAILOVER",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION FLUSH",
    "LATENCY RESET",
    "MIGRATE localhost 1 key 0 1",
    "MODULE LIST",
    "MONITOR",
    "REPLICAOF localhost 1",
    "SAVE",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "SHUTDOWN NOSAVE",
    "SLAVEOF localhost 1",
    "SLOWLOG RESET",
    "SWAPDB 0 1",
    "SYNC",
)
CONFIGURES = ("CONFIG SET appendonly no",)
LOOKS_AT_THE_SERVER = ("CONFIG GET *", "LATENCY LATEST", "LATENCY HISTOGRAM", "SLOWLOG GET 1", "SLOWLOG LEN")
USES_KEYS = ("GET job", "SET job 1", "SCAN 0", "DBSIZE", "RANDOMKEY", "TYPE job", "DEL job")
USES_SCRIPTS_AND_CHANNELS = ("EVAL return(1) 0", "PUBLISH channel word", "SUBSCRIBE channel", "MULTI")


@pytest.fixture
def pod(tmp_path: Path) -> CachePod:
    return CachePod(tmp_path)


def refused(client: Client, command: str) -> bool:
    try:
        client(*command.split())
    except Refused as refusal:
        if str(refusal).startswith("NOPERM"):
            return True
        raise
    return False


def allowed(client: Client, commands: tuple[str, ...]) -> list[str]:
    return [command for command in commands if not refused(client, command)]


DANGEROUS = {
    "default": {"client|list", "info"},
    "operator": {"config|get", "config|set"},
    "exporter": {
        "config|get",
        "info",
        "latency|histogram",
        "latency|latest",
        "slowlog|get",
        "slowlog|len",
    },
}


def test_of_all_that_is_dangerous_each_may_do_its_part_alone(pod: CachePod) -> None:
    """Whatever Valkey itself counts among it, those included that it refuses before it asks who calls."""
    with pod.serving(*ROOT), pod.client("root") as root:
        every = sorted({*root("ACL", "CAT", "dangerous"), *root("ACL", "CAT", "admin")})
        assert {"acl|setuser", "config|set", "debug", "keys", "module|load", "replicaof", "swapdb"} <= {
            *every
        }
        for user, expected in DANGEROUS.items():
            assert {command for command in every if may(root, user, command)} == expected


def may(root: Client, user: str, command: str) -> bool:
    ((_, arity, *_),) = root("COMMAND", "INFO", command)
    words = command.split("|")
    answer = root("ACL", "DRYRUN", user, *words, *["1"] * (abs(arity) - len(words)))
    assert answer == "OK" or "has no permissions to run the" in answer, answer
    return bool(answer == "OK")


@pytest.mark.parametrize("password", [PASSWORD, PREVIOUS])
def test_a_workload_uses_data_and_changes_nothing_else(pod: CachePod, password: str) -> None:
    with pod.serving(), Client(pod.port, pod.authority, password) as workload:
        denied = (
            *CHANGES_THE_SERVER,
            *CONFIGURES,
            *LOOKS_AT_THE_SERVER,
            "KEYS *",
            "SORT job",
            "FUNCTION LIST",
        )
        assert allowed(workload, denied) == []
        granted = (*USES_KEYS, "PING", "TIME", "INFO", "SELECT 0", "CLIENT LIST", "EVAL return(1) 0")
        assert allowed(workload, granted) == list(granted)


def test_a_script_may_do_no_more_than_who_runs_it(pod: CachePod) -> None:
    with pod.serving() as (_, workload):
        for command in ("'FLUSHALL'", "'SWAPDB', 0, 1", "'KEYS', '*'"):
            with pytest.raises(Refused, match="ACL failure in script"):
                workload("EVAL", f"return server.call({command})", 0)


def test_the_operator_configures_and_touches_no_data(pod: CachePod) -> None:
    with pod.serving(), pod.client("operator") as operator:
        denied = (*CHANGES_THE_SERVER, *LOOKS_AT_THE_SERVER[1:], *USES_KEYS, *USES_SCRIPTS_AND_CHANNELS)
        assert allowed(operator, (*denied, "INFO", "KEYS *", "CLIENT LIST")) == []
        granted = ("PING", "CONFIG GET tls-port", "CONFIG SET tls-session-caching yes")
        assert allowed(operator, granted) == list(granted)
        for protected in ("dir /tmp", "dbfilename x", "enable-debug-command yes"):
            with pytest.raises(Refused, match=r"protected|immutable"):
                operator("CONFIG", "SET", *protected.split())


def test_the_exporter_reads_the_servers_state_alone(pod: CachePod) -> None:
    with pod.serving(), pod.client("exporter") as exporter:
        denied = (*CHANGES_THE_SERVER, *CONFIGURES, *USES_KEYS, *USES_SCRIPTS_AND_CHANNELS, "KEYS *")
        assert allowed(exporter, denied) == []
        granted = (*LOOKS_AT_THE_SERVER, "INFO ALL", "CLIENT SETNAME exporter")
        assert allowed(exporter, granted) == list(granted)


def test_each_shows_a_password_of_its_own(pod: CachePod) -> None:
    with pod.serving() as (_, workload):
        own = (pod.volumes["operator"] / "password").read_text()
        assert len(own) == 64
        assert own not in (pod.volumes["exporter"] / "exporter.json").read_text()
        for user, password in (
            ("operator", PASSWORD),
            ("exporter", PASSWORD),
            ("default", own),
            ("exporter", own),
        ):
            with pytest.raises(Refused, match="WRONGPASS"):
                workload("AUTH", user, password)


def test_the_pods_passwords_are_new_in_each_pod_and_stay_while_it_runs(pod: CachePod, tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    following = CachePod(tmp_path / "next")
    made = []
    for each in (pod, pod, following):
        with each.run("users") as users:
            assert users.wait(30) == 0, each.log("users")
        made.append((each.volumes["operator"] / "password").read_text())
    assert made[0] == made[1] != made[2]
    for file in (*pod.volumes["operator"].iterdir(), *pod.volumes["exporter"].iterdir()):
        assert file.stat().st_mode & 0o077 == 0
    assert pod.log("users") == ""


def test_a_person_in_the_pod_looks_at_the_data_as_a_workload(pod: CachePod) -> None:
    ask = (
        'export REDISCLI_AUTH="$(cat /run/secrets/cache/password)"; valkey-cli -h localhost -p "$CACHE_PORT" '
        "--no-auth-warning -e --tls --cacert /run/secrets/cache-tls/ca.crt "
    )
    with pod.serving() as (valkey, client):
        client("SET", "key", "value")
        for question, answer in (
            ("info persistence", "aof_last_write_status:ok"),
            ("client list", "addr="),
            ("--bigkeys", "key"),
            ("--scan", "key"),
            ("unlink key", "1"),
        ):
            ended = valkey.execute(["sh", "-c", ask + question])
            assert ended.code == 0, ended.tail()
            assert answer in "\n".join(ended.lines)


def test_the_applications_libraries_meet_no_refusal(pod: CachePod, tmp_path: Path) -> None:
    app = application_or_skip(tmp_path)
    shutil.copy(CLIENTS, app)
    env = {"PORT": str(pod.port), "PASSWORD": PASSWORD, "CA": str(pod.authority / "ca.crt")}
    with pod.serving(*ROOT), pod.client("root") as root:
        ended = processes.run(["node", CLIENTS.name], cwd=app, env={**os.environ, **env}, timeout=90)
        assert ended.code == 0, ended.tail()
        assert [line for line in ended.lines if line.endswith("done")] == [
            "cache: done",
            "queue: done",
            "sockets: done",
        ]
        assert root("ACL", "LOG") == []
