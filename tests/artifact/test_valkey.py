"""The real Valkey and exporter, with the files and commands that the cache's objects carry."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.artifact.cache_pod import PASSWORD, PREVIOUS, ROOT, CachePod, Client, Refused
from tests.artifact.pod import eventually, sign

EXPORTER = "prometheus-redis-exporter"


@pytest.fixture
def pod(tmp_path: Path) -> CachePod:
    return CachePod(tmp_path)


def test_nothing_is_told_without_the_password(pod: CachePod) -> None:
    with pod.serving() as (_, friend), Client(pod.port, pod.authority, password=None) as stranger:
        with pytest.raises(Refused, match="NOAUTH"):
            stranger("GET", "job")
        with pytest.raises(Refused, match="WRONGPASS"):
            stranger("AUTH", PASSWORD[:-1])
        assert friend("PING") == "PONG"


def test_a_rotation_of_the_password_locks_nobody_out(pod: CachePod) -> None:
    with pod.serving(), Client(pod.port, pod.authority, password=PREVIOUS) as late:
        assert late("PING") == "PONG"


def test_only_tls_is_spoken(pod: CachePod) -> None:
    with pod.serving() as (valkey, _):
        listening = {
            connection.laddr.port
            for connection in psutil.Process(valkey.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {pod.port}
        with socket.create_connection(("localhost", pod.port), timeout=10) as plain:
            plain.sendall(f"AUTH {PASSWORD}\r\nPING\r\n".encode())
            assert answered(plain) == b""


def answered(plain: socket.socket) -> bytes:
    try:
        return plain.recv(1000)
    except ConnectionResetError:
        return b""


def test_another_authority_is_not_trusted(pod: CachePod, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    sign(tmp_path / "elsewhere", tmp_path / "another authority")
    with pod.serving(), pytest.raises(ssl.SSLCertVerificationError):
        Client(pod.port, tmp_path / "another authority")


def test_the_password_is_in_no_argument_environment_or_log(pod: CachePod) -> None:
    with pod.serving() as (valkey, _), pod.client("operator") as operator:
        process = psutil.Process(valkey.pid)
        passwords = (PASSWORD, (pod.volumes["operator"] / "password").read_text())
        assert process.uids().real == 10001
        told = [
            *process.cmdline(),
            *process.environ().values(),
            *operator("CONFIG", "GET", "*"),
            pod.log("valkey"),
        ]
        assert not any(password in str(word) for word in told for password in passwords)
    for file in ("config/valkey.conf", "secrets/users.conf", "operator/users.conf"):
        assert not any(password in (pod.folder / file).read_text() for password in passwords)


def test_full_memory_refuses_writes_and_evicts_nothing(tmp_path: Path) -> None:
    pod = CachePod(tmp_path, memory_limit="64Mi")
    with pod.serving() as (_, client):
        job = "x" * 100_000
        written = sum(1 for _ in iter(lambda: added(client, job), None))
        assert int(client.info("memory")["maxmemory"]) == 16 * 2**20
        assert 130 < written < 168
        assert client("LLEN", "jobs") == written
        assert client.info("stats")["evicted_keys"] == "0"
        assert client("LINDEX", "jobs", 0) == job
        for _ in range(10):
            assert client("RPOP", "jobs") == job
        assert client("LPUSH", "jobs", job) == written - 9


def added(client: Client, job: str) -> int | None:
    """The queue's length after adding a job; None when there is no memory for it."""
    try:
        length: int = client("LPUSH", "jobs", job)
    except Refused as refusal:
        if str(refusal).startswith("OOM "):
            return None
        raise
    return length


def test_a_rewrite_of_the_log_under_load_stays_within_the_memory_limit(pod: CachePod) -> None:
    """All jobs are changed while a forked child, held up for it, writes down what they were: the most it takes."""
    limit, job = 256 * 2**20, "x" * 4000
    slow = (
        "--rdb-key-save-delay",
        "100",
    )  # microseconds for each key: time enough to find the child and stop it
    with (
        pod.serving(*slow, *ROOT) as (valkey, client),
        pod.client("root") as root,
        Client(pod.port, pod.authority) as writer,
    ):
        jobs = int(0.9 * int(client.info("memory")["maxmemory"]) / 4300)
        fill(writer, range(jobs), job)
        eventually(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0", "it is quiet")
        data = int(client.info("memory")["used_memory"])
        assert data > limit // 3
        root("BGREWRITEAOF")
        (child,) = psutil.Process(valkey.pid).children()
        child.suspend()
        try:
            peak = 0
            for start in range(97):
                fill(writer, range(start, jobs, 97), job)
                peak = max(peak, memory_of(valkey.pid))
            assert client.info("persistence")["aof_rewrite_in_progress"] == "1"
            # Valkey's own count is of the end, when the child has given back what it wrote.
            copied = child.memory_full_info().uss
        finally:
            child.resume()
        eventually(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0", "it is written", 120)
        assert client.info("persistence")["aof_last_bgrewrite_status"] == "ok"
        assert copied > data // 2
        assert data < peak < limit


def fill(client: Client, jobs: range, value: str) -> None:
    for start in range(0, len(jobs), 500):
        for number in jobs[start : start + 500]:
            client.send("SET", f"job:{number}", value)
        for _ in jobs[start : start + 500]:
            assert client.receive() == "OK"


def memory_of(pid: int) -> int:
    """Bytes that a process and its children have together, what they share counted once."""
    total = 0
    for process in (psutil.Process(pid), *psutil.Process(pid).children()):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total


def test_no_acknowledged_job_is_lost_when_the_process_is_killed(pod: CachePod) -> None:
    """Killed in the middle of writes; what the kernel took, a kill can't take back."""
    acknowledged = -1

    def add_jobs(client: Client) -> None:
        nonlocal acknowledged
        try:
            while True:
                job = acknowledged + 1
                client("MULTI")
                client("HSET", f"job:{job}", "state", "waiting")
                client("LPUSH", "jobs", job)
                client("EXEC")
                acknowledged = job
        except OSError:
            return

    for _ in range(3):
        with pod.serving() as (valkey, client):
            first = acknowledged
            adding = threading.Thread(target=add_jobs, args=(client,))
            adding.start()
            eventually(lambda: acknowledged > first + 2000 or None, "jobs are added")  # noqa: B023
            os.kill(valkey.pid, signal.SIGKILL)
            adding.join(10)
            assert not adding.is_alive()
            valkey.wait(10)
        with pod.serving() as (_, client):
            kept = {int(job) for job in client("LRANGE", "jobs", 0, -1)}
            # One more may be there: added, and its answer lost.
            assert kept >= set(range(acknowledged + 1))
            assert len(kept) <= acknowledged + 2
            assert client("EXISTS", *[f"job:{job}" for job in kept]) == len(kept)
            acknowledged = max(kept)


def test_sigterm_flushes_and_ends_in_time(pod: CachePod) -> None:
    with pod.serving() as (valkey, client):
        for job in range(1000):
            client.send("LPUSH", "jobs", job)
        for _ in range(1000):
            client.receive()
        valkey.send_signal(signal.SIGTERM)
        assert valkey.wait(pod.grace_seconds) == 0
    assert "Calling fsync() on the AOF file." in pod.log("valkey")
    with pod.serving() as (_, client):
        assert client("LLEN", "jobs") == 1000


def test_the_probes_tell_ready_from_alive(pod: CachePod) -> None:
    with pod.serving() as (valkey, _):
        for kind in ("startup", "readiness", "liveness"):
            assert pod.probe("valkey", valkey, kind) == (0, "")
        (pod.volumes["operator"] / "password").write_text("another")
        code, said = pod.probe("valkey", valkey, "readiness")
        assert code == 1
        assert "NOAUTH" in said
        assert pod.probe("valkey", valkey, "liveness") == (0, "")


def test_the_probes_of_a_cache_that_loads_wait_for_it(pod: CachePod) -> None:
    with pod.serving() as (_, client):
        client("EVAL", "for i = 1, 200000 do server.call('SET', 'key' .. i, i) end", 0)
    # In microseconds for each key: 20 seconds in all.
    with pod.run("valkey", "--key-load-delay", "100") as valkey:
        eventually(lambda: pod.probe("valkey", valkey, "startup")[0] == 0, "it is up")
        code, said = pod.probe("valkey", valkey, "readiness")
        assert code == 1
        assert "LOADING" in said
        assert pod.probe("valkey", valkey, "liveness") == (0, "")
        os.kill(valkey.pid, signal.SIGKILL)
    with pod.serving() as (valkey, client):
        assert client("DBSIZE") == 200000
        assert pod.probe("valkey", valkey, "readiness") == (0, "")


def test_a_frozen_cache_is_not_alive(pod: CachePod) -> None:
    with pod.serving() as (valkey, _):
        valkey.send_signal(signal.SIGSTOP)
        try:
            assert pod.probe("valkey", valkey, "liveness")[0] == 1
        finally:
            valkey.send_signal(signal.SIGCONT)


def test_a_renewed_certificate_is_served_without_a_restart(pod: CachePod, tmp_path: Path) -> None:
    pod.containers["certificate"]["env"][1]["value"] = "0.2"
    with pod.serving() as (_, connected), pod.run("certificate"):
        eventually(lambda: "was read" in pod.log("certificate"), "the first look")
        before = connected.certificate()
        sign(pod.volumes["tls"], tmp_path / "next authority")

        def served() -> bytes | None:
            try:
                with Client(pod.port, tmp_path / "next authority") as client:
                    return client.certificate()
            except ssl.SSLCertVerificationError:
                return None

        assert eventually(served, "the new certificate") != before
        assert connected("PING") == "PONG"


def test_half_a_renewal_changes_nothing(pod: CachePod, tmp_path: Path) -> None:
    pod.containers["certificate"]["env"][1]["value"] = "0.2"
    with pod.serving(), pod.run("certificate"):
        eventually(lambda: "was read" in pod.log("certificate"), "the first look")
        (tmp_path / "new").mkdir()
        sign(tmp_path / "new", tmp_path / "next authority")
        (tmp_path / "new" / "tls.crt").replace(pod.volumes["tls"] / "tls.crt")
        eventually(lambda: "trying again" in pod.log("certificate"), "the refusal")
        with Client(pod.port, pod.authority) as client:
            assert client("PING") == "PONG"
        (tmp_path / "new" / "tls.key").replace(pod.volumes["tls"] / "tls.key")
        eventually(lambda: pod.log("certificate").count("was read") == 2, "the other half is taken too")


def metrics(pod: CachePod) -> str | None:
    try:
        with urllib.request.urlopen(f"http://localhost:{pod.metrics_port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except ConnectionError:
        return None
    except OSError as error:
        if isinstance(getattr(error, "reason", None), ConnectionError):
            return None
        raise


def test_the_exporter_sees_the_cache(pod: CachePod) -> None:
    with (
        pod.serving(*ROOT) as (_, client),
        pod.client("root") as root,
        pod.run("exporter", command=[EXPORTER]),
    ):
        client("SET", "key", "value")
        seen = eventually(lambda: metrics(pod), "metrics")
        assert "\nredis_up 1\n" in seen
        assert '\nredis_exporter_last_scrape_error{err=""} 0\n' in seen
        for metric in (
            "redis_aof_enabled",
            "redis_commands_latencies_usec_bucket",
            "redis_config_maxclients",
            'redis_db_keys{db="db0"}',
            "redis_memory_max_bytes",
            "redis_rejected_connections_total",
            "redis_slowlog_length",
        ):
            assert f"\n{metric}" in seen, metric
        assert root("ACL", "LOG") == []  # nothing that it asked for was refused


def test_the_exporter_trusts_no_other_authority(pod: CachePod, tmp_path: Path) -> None:
    with pod.serving():
        (tmp_path / "new").mkdir()
        sign(tmp_path / "new", tmp_path / "another authority")
        (tmp_path / "new" / "ca.crt").replace(pod.volumes["tls"] / "ca.crt")
        with pod.run("exporter", command=[EXPORTER]):
            assert "\nredis_up 0\n" in eventually(lambda: metrics(pod), "metrics")


def test_the_shell_scripts_are_clean() -> None:
    folder = Path(__file__).parents[2] / "components" / "data" / "scripts"
    for script in sorted(folder.glob("*.sh")):
        checked = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
