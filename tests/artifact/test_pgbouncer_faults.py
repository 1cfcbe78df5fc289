"""What clients see of changes, stops and crashes: of PgBouncer, and of the database behind it."""

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from simulator.images.container import Container
from tests.artifact import pool_world
from tests.artifact.pod import eventually, sign
from tests.artifact.pool_world import CONNECTIONS, PoolPod, lost, more, ordering, several
from tests.artifact.postgres_client import Client, Refused

READ = "the files were read"


def renewed(pod: PoolPod, authority: Path) -> bytes | None:
    """The certificate that a client of another authority sees; None while it trusts none."""
    try:
        with pod.client(authority=authority) as client:
            return client.certificate()
    except OSError:
        return None


def test_a_renewed_certificate_is_served_and_nobody_is_dropped(tmp_path: Path) -> None:
    with pool_world.world(tmp_path) as (server, pod):
        pod.look_often()
        pod.drain_for(0)
        with pod.serving(), pod.run("keep"), pod.client() as connected:
            eventually(lambda: READ in pod.log("keep"), "the first look")
            before = connected.certificate()
            (tmp_path / "elsewhere").mkdir()
            # Half a renewal changes nothing.
            sign(tmp_path / "elsewhere", server.authority)
            (tmp_path / "elsewhere" / "tls.crt").replace(pod.volumes["tls"] / "tls.crt")
            eventually(lambda: "trying again" in pod.log("keep"), "the refusal")
            with pod.client() as client:
                assert client.certificate() == before
            (tmp_path / "elsewhere" / "tls.key").replace(pod.volumes["tls"] / "tls.key")
            eventually(lambda: pod.log("keep").count(READ) == 2, "the other half is taken too")
            with pod.client() as client:
                assert client.certificate() != before
            # A new authority, for both sides.
            sign(server.tls, tmp_path / "next", names=[f"localhost,IP:{pool_world.ADDRESS}"])
            server.sql("SELECT pg_reload_conf()")
            pod.certify(tmp_path / "next")
            assert eventually(lambda: renewed(pod, tmp_path / "next"), "the next authority's") != before
            assert connected("SELECT 1") == [("1",)]


def test_changed_settings_and_its_own_password_are_taken_up_and_nobody_is_dropped(tmp_path: Path) -> None:
    with pool_world.world(tmp_path) as (server, pod):
        pod.look_often()
        pod.drain_for(0)
        with pod.serving() as running, pod.run("keep"), several(pod, 20) as clients:
            eventually(lambda: READ in pod.log("keep"), "the first look")
            pod.configure(pod.settings(budget=40))
            eventually(lambda: pod.log("keep").count(READ) == 2, "the settings")
            for client in clients:
                client.send("SELECT pg_sleep(0.3)")
            eventually(lambda: int(server.sql(CONNECTIONS)[0]) > pod.connections.total, "more connections")
            for client in clients:
                client.receive()
            # What it can't read leaves it as it was.
            pod.configure(pod.settings(budget=40).replace("pool_mode = transaction", "pool_mode = swimming"))
            eventually(lambda: "swimming" in pod.log("keep"), "the refusal")
            assert clients[0]("SELECT 1") == [("1",)]
            pod.configure(pod.settings(budget=40))
            # The same at PostgreSQL first: the connection that asks is there already, and stays good.
            server.sql("ALTER ROLE pooler PASSWORD 'another'")
            with pod.client():
                pass
            pod.write_secret("pooler-password", "another")
            eventually(lambda: pod.log("keep").count(READ) == 3, "the password")
            pod.console(running, "RECONNECT lookup")
            with pod.client() as client:
                assert client("SELECT 1") == [("1",)]
            assert [client("SELECT 1") for client in clients] == [[("1",)]] * 20


def stop(containers: dict[str, Container], pod: PoolPod) -> None:
    """As the kubelet stops the pod: those without a `preStop` are told before the one that has it."""
    for name, container in containers.items():
        if "lifecycle" not in pod.containers[name]:
            container.send_signal(signal.SIGTERM)
    containers["pgbouncer"].send_signal(signal.SIGTERM)


def whole(stack: ExitStack, pod: PoolPod) -> dict[str, Container]:
    """Run all containers of the pod."""
    containers = {"pgbouncer": stack.enter_context(pod.serving())}
    containers |= {name: stack.enter_context(pod.run(name)) for name in ("keep", "exporter")}
    eventually(lambda: READ in pod.log("keep"), "all is up")
    return containers


def test_a_pod_that_stops_finishes_its_clients_work_and_ends_when_they_left(tmp_path: Path) -> None:
    with pool_world.world(tmp_path) as (server, pod), ExitStack() as stack:
        containers = whole(stack, pod)
        with several(pod, 20) as clients:
            for client in clients[:3]:
                client("BEGIN")
            stop(containers, pod)
            for number, client in enumerate(clients):
                client(f"INSERT INTO orders VALUES ({number}, 1)")  # noqa: S608
                if number < 3:
                    client("COMMIT")
        assert [containers[name].wait(20) for name in ("pgbouncer", "keep")] == [0, 0]
        assert server.sql("SELECT count(*) FROM orders") == ["20"]


def test_clients_that_never_leave_lose_no_transaction(tmp_path: Path) -> None:
    with pool_world.world(tmp_path) as (server, pod), ExitStack() as stack:
        pod.drain_for(1)
        containers = whole(stack, pod)
        busy, idle = stack.enter_context(pod.client()), stack.enter_context(pod.client())
        idle("SELECT 1")
        busy("BEGIN; INSERT INTO orders VALUES (1, 1)")
        stop(containers, pod)
        eventually(lambda: "got SIGINT, shutting down" in pod.log("pgbouncer"), "the time is up")
        assert containers["pgbouncer"].poll() is None
        busy("INSERT INTO orders VALUES (1, 2)")
        busy("COMMIT")
        assert [containers[name].wait(20) for name in ("pgbouncer", "keep")] == [0, 0]
        assert server.sql("SELECT count(*) FROM orders") == ["2"]
        with pytest.raises((Refused, OSError)):
            idle("SELECT 1")


def test_a_roll_under_load_loses_and_fails_nothing(tmp_path: Path) -> None:
    """Clients connect for each piece of work; the Service's part is played by which pod they are sent to."""
    with pool_world.world(tmp_path) as (server, old), ExitStack() as stack:
        new = PoolPod(tmp_path / "new", server)
        leaving = whole(stack, old)
        serving = [old]

        def connect() -> Client:
            return serving[0].client()

        with ordering(connect, 8) as clients:
            whole(stack, new)
            serving[0] = new
            for client in clients:
                client.renew()
            more(clients)
            stop(leaving, old)
            assert [leaving[name].wait(20) for name in ("pgbouncer", "keep")] == [0, 0]
            more(clients)
        assert [client.failed for client in clients] == [[]] * 8
        assert lost(server, clients) == 0


def test_a_killed_one_loses_no_confirmed_order(tmp_path: Path) -> None:
    with pool_world.world(tmp_path) as (server, pod), ExitStack() as stack:
        running = stack.enter_context(pod.serving())
        with ordering(pod.client, 8) as clients:
            for _ in range(3):
                pod.kill(running)
                running = stack.enter_context(pod.serving())
                more(clients)
        assert lost(server, clients) == 0
        assert all(client.failed for client in clients)


def test_the_pool_is_there_through_a_restart_of_the_database(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        server, pod = first.enter_context(pool_world.world(tmp_path))
        running = stack.enter_context(pod.serving())
        idle = stack.enter_context(pod.client())
        idle("SELECT 1")
        with ordering(pod.client, 8) as clients:
            first.close()
            assert pod.probe("pgbouncer", running, "liveness") == (0, "")
            assert pod.probe("pgbouncer", running, "readiness") == (0, "")
            with server.serving():
                more(clients)
                assert idle("SELECT 1") == [("1",)]
                for client in clients:
                    client.stop()
                assert lost(server, clients) == 0
