"""The pool's pod in front of a real PostgreSQL, with the logins that the product has."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil
import pulumi

from components.base import Identity
from components.data import pgbouncer_config
from components.data.pgbouncer import Pool, PoolArgs, PooledDatabase
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.platform.credentials import Credential
from components.pods import Resources
from simulator.images.container import Container
from simulator.images.rootfs import IMAGES
from tests.artifact.plain_postgres import Postgres, literal
from tests.artifact.pod import RecordedPod, eventually, free_port, sign
from tests.artifact.postgres_client import Client, Refused
from tests.recorder import Recording, record

AWKWARD = 'it\'s a "quoted" $word\\ \N{SNOWMAN} 100%'
PASSWORDS = {"app_0": "1st " + AWKWARD, "app_1": "2nd-7f3a9c", "readonly_0": "3rd-51be02", "pooler": AWKWARD}
ADDRESS = "127.0.0.1"
"""PgBouncer's resolver takes `localhost` for ::1 whatever /etc/hosts says."""
LOOKUP = IMAGES / "postgres" / "rootfs" / "usr" / "share" / "database" / "20-pooler.sql"
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND client_port <> -1
"""
"""Those over the network, which are the pool's."""
AGAIN_SECONDS = 0.05
"""A client that could not place an order tries again after so long."""


class Server(Protocol):
    """A database that a pool may be before."""

    port: int
    authority: Path


class PoolPod(RecordedPod):
    """One pool's pod, and where it listens.

    Args:
        folder: for its volumes and logs; made.
        server: the database; its authority is everybody's.
        budget: connections of two replicas together.
    """

    def __init__(self, folder: Path, server: Server, budget: int = 20) -> None:
        folder.mkdir(exist_ok=True)
        self.port, self.metrics_port = free_port(), free_port()
        self.authority = server.authority
        self._server_port = server.port
        recording = self._recorded(budget)
        deployment = recording.one("kubernetes:apps/v1:Deployment", "pool-deployment").inputs
        super().__init__(folder, recording, deployment["spec"]["template"]["spec"])
        # Nothing here takes longer, unless it hangs.
        self.grace_seconds = 20
        self.certify(server.authority)

    def _recorded(self, budget: int) -> Recording:
        return record(lambda: Pool("pool", self._args(budget)) and None)

    def _args(self, budget: int) -> PoolArgs:
        identity = Identity(product="fixia", environment="test", owner="o", cost_centre="c")
        return PoolArgs(
            identity=identity,
            namespace="fixia-data",
            image="pgbouncer",
            exporter_image="pgbouncer-exporter",
            resources=Resources(cpu="100m", memory="64Mi", memory_limit="128Mi"),
            replicas=2,
            database=PooledDatabase(
                host=ADDRESS,
                port=self._server_port,
                name="fixia",
                endpoint=endpoint(identity, "database", "fixia-data", self._server_port),
            ),
            app=Credential(current=pulumi.Output.secret(PASSWORDS["app_0"])),
            pooler=Credential(current=pulumi.Output.secret(PASSWORDS["pooler"])),
            budget=budget,
            authority=Authority("authority", AuthorityArgs(identity=identity)),
            port=self.port,
            metrics_port=self.metrics_port,
        )

    @property
    def connections(self) -> pgbouncer_config.ServerConnections:
        """What this pod may open when the budget is 20."""
        return pgbouncer_config.server_connections(20, pgbouncer_config.pods_at_once(2))

    def certify(self, authority: Path) -> None:
        """Have its certificate renewed by an authority."""
        sign(self.volumes["tls"], authority)

    def settings(self, *, budget: int) -> str:
        """The configuration file with another budget."""
        config = self._recorded(budget).one("kubernetes:core/v1:ConfigMap", "pool-config").inputs["data"]
        text: str = config["pgbouncer.ini"]
        return text

    def configure(self, text: str) -> None:
        """Change the configuration file as the kubelet does: at once."""
        new = self.folder / "pgbouncer.ini"
        new.write_text(text)
        new.replace(self.volumes["config"] / "pgbouncer.ini")

    def look_often(self) -> None:
        """Have files looked at several times a second."""
        self._environment("keep", "CHECK_SECONDS", "0.2")

    def drain_for(self, seconds: int) -> None:
        """Have clients waited for so long."""
        self._environment("pgbouncer", "DRAIN_SECONDS", str(seconds))

    def _environment(self, container: str, name: str, value: str) -> None:
        (variable,) = [each for each in self.containers[container]["env"] if each["name"] == name]
        variable["value"] = value

    def client(self, user: str = "app_0", password: str | None = None, **how: Any) -> Client:
        """A client that trusts the authority."""
        known = PASSWORDS[user] if password is None else password
        return Client(self.port, user, known, how.pop("authority", self.authority), **how)

    @contextmanager
    def serving(self) -> Iterator[Container]:
        """Run PgBouncer, ready."""
        with self.run("pgbouncer") as running:
            eventually(lambda: self._ready(running), "PgBouncer is ready")
            yield running

    def process(self, running: Container) -> psutil.Process:
        """PgBouncer itself, which the container's first process started."""
        children = psutil.Process(running.pid).children()
        (found,) = [child for child in children if child.name() == "pgbouncer"]
        return found

    def kill(self, running: Container) -> None:
        """End PgBouncer as the kernel does when memory runs out."""
        self.process(running).kill()
        running.wait(10)

    def _ready(self, running: Container) -> bool:
        assert running.poll() is None, self.log("pgbouncer")
        return self.probe("pgbouncer", running, "readiness")[0] == 0

    def console(self, running: Container, command: str) -> list[dict[str, str]]:
        """What the admin console answers, as rows by column."""
        psql = ["/usr/lib/postgresql/17/bin/psql", "-XAqw", "-h", "/run/pgbouncer", "-p", str(self.port)]
        ended = running.execute(
            [*psql, "-U", "pgbouncer", "-d", "pgbouncer", "-P", "footer=off", "-c", command]
        )
        assert ended.code == 0, ended.lines
        if not ended.lines:
            return []
        head, *rows = [line.split("|") for line in ended.lines]
        return [dict(zip(head, row, strict=True)) for row in rows]


def prepare(server: Postgres) -> None:
    """Make the logins, what PgBouncer asks, and a table that counts what was committed."""
    roles = [
        "CREATE ROLE app NOLOGIN",
        "CREATE ROLE readonly NOLOGIN",
        "GRANT CREATE ON SCHEMA public TO app",
    ]
    for name, password in PASSWORDS.items():
        roles.append(f"CREATE ROLE {name} LOGIN PASSWORD {literal(password)}")
        if group := name.partition("_")[0] if "_" in name else "":
            roles += [f"GRANT {group} TO {name}", f"ALTER ROLE {name} SET role = '{group}'"]
    table = "CREATE TABLE orders (client int, number int, PRIMARY KEY (client, number))"
    for _ in range(2):  # again and again to the same end
        definitions = LOOKUP.read_text()
        roles.append(definitions)
    server.sql(*roles, table, "ALTER TABLE orders OWNER TO app")


def certify(server: Postgres, name: str = f"localhost,IP:{ADDRESS}") -> None:
    """Give it a certificate for a name."""
    sign(server.tls, server.authority, names=[name])


@contextmanager
def world(folder: Path, *, budget: int = 20) -> Iterator[tuple[Postgres, PoolPod]]:
    """A prepared database that runs, and a pod that doesn't yet."""
    server = Postgres(folder)
    certify(server)
    with server.serving():
        prepare(server)
        yield server, PoolPod(folder / "pod", server, budget)


@contextmanager
def several(pod: PoolPod, count: int, users: Sequence[str] = ("app_0",)) -> Iterator[list[Client]]:
    """So many clients at a time, logged in as the users in turn."""
    with ExitStack() as stack:
        yield [stack.enter_context(pod.client(users[number % len(users)])) for number in range(count)]


class Orders(threading.Thread):
    """A client that places one order after the other, each in a transaction, and knows which were confirmed.

    It connects anew, as often as it takes, when its connection broke.

    Args:
        connect: how it connects.
        number: which client it is.
    """

    def __init__(self, connect: Callable[[], Client], number: int) -> None:
        super().__init__(name=f"client {number}")
        self._connect, self._number = connect, number
        self._over, self._renewal = threading.Event(), threading.Event()
        self.confirmed: set[int] = set()
        self.failed: list[str] = []
        self.failed_at: list[float] = []
        self.slowest_seconds = 0.0

    def run(self) -> None:
        order = 0
        while not self._over.is_set():
            try:
                with self._connect() as client:
                    self._renewal.clear()
                    while not (self._over.is_set() or self._renewal.is_set()):
                        order += 1
                        began = time.monotonic()
                        client(f"BEGIN; INSERT INTO orders VALUES ({self._number}, {order}); COMMIT")  # noqa: S608
                        self.confirmed.add(order)
                        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
            except (OSError, Refused) as problem:
                self.failed.append(str(problem))
                self.failed_at.append(time.monotonic())
                self._over.wait(AGAIN_SECONDS)

    def renew(self) -> None:
        """Connect anew after the order that is being placed."""
        self._renewal.set()

    def stop(self) -> None:
        self._over.set()
        self.join(60)
        assert not self.is_alive()


@contextmanager
def ordering(connect: Callable[[], Client], count: int) -> Iterator[list[Orders]]:
    """So many of them; each has had a confirmation."""
    clients = [Orders(connect, number) for number in range(count)]
    for client in clients:
        client.start()
    try:
        more(clients)
        yield clients
    finally:
        for client in clients:
            client.stop()


def more(clients: Sequence[Orders], count: int = 20) -> None:
    """Wait until each has had so many more confirmations."""
    before = [len(client.confirmed) for client in clients]
    eventually(
        lambda: all(len(one.confirmed) >= had + count for one, had in zip(clients, before, strict=True)),
        "orders are placed",
        patience=60,
    )


def lost(server: Postgres, clients: Sequence[Orders]) -> int:
    """How many orders were confirmed and are not there."""
    missing = 0
    for number, client in enumerate(clients):
        # As one row: of many, the end alone would come.
        (row,) = server.sql(f"SELECT string_agg(number::text, ' ') FROM orders WHERE client = {number}")  # noqa: S608
        assert client.confirmed
        missing += len(client.confirmed - {int(order) for order in row.split()})
    return missing
