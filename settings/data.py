"""What keeps data: the database with its pool, the cache and queue."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from components.backup.restore import LABEL, TIME
from settings.section import Section
from settings.types import Bytes, Cidr, Image, Name
from settings.workload import Resources

CLOUDNATIVE_PG: Final = "cloudnative-pg"
"""The database's engine that an operator of the cluster's runs."""


def _moment(value: str) -> str:
    if value not in ("latest", "backup") and not TIME.fullmatch(value):
        raise ValueError("`latest`, `backup`, or a time with its zone, such as 2026-11-20 14:03:00+00")
    return value


def _label(value: str) -> str:
    if not LABEL.fullmatch(value):
        raise ValueError("a backup's label, such as 20261120-020000F_20261121-020000I")
    return value


Moment = Annotated[str, AfterValidator(_moment), Field(examples=["latest", "2026-11-20 14:03:00+00"])]
Label = Annotated[str, AfterValidator(_label), Field(examples=["20261120-020000F"])]


class Cache(Section):
    """Valkey, for the cache and the queue."""

    namespace: Name = Field(default="data", description="One of `platform.namespaces`.")
    image: Image = Field(description="Valkey 8.1 or newer.")
    exporter_image: Image = Field(description="The exporter of its metrics.")
    resources: Resources
    password: Name = Field(default="redis-password", description="The secret that clients show.")
    storage: Bytes = Field(description="The volume; five times the memory limit.")


class Pool(Section):
    """PgBouncer, which everybody but the migrations goes through."""

    image: Image = Field(description="PgBouncer 1.23 or newer; see images/pgbouncer.")
    exporter_image: Image | None = Field(
        default=None,
        description="The exporter of its metrics; see images/pgbouncer-exporter. Of `postgres` alone.",
    )
    resources: Resources
    replicas: Annotated[int, Field(ge=2, le=10)] = Field(default=2, description="How many pods.")
    budget: Annotated[int, Field(ge=4, le=1000)] = Field(
        default=20, description="Connections to PostgreSQL, of all its pods together at any time."
    )


class Operator(Section):
    """CloudNativePG, which is in the cluster already, and the API server that its pods ask who they are."""

    namespace: Name = Field(default="cnpg-system", description="Where it runs.")
    api_server: list[Cidr] = Field(min_length=1, description="Where the API server is, behind its Service.")
    api_server_port: Annotated[int, Field(ge=1, le=65535)] = 6443


class Restore(Section):
    """What the database is brought back to, once; written by `make restore`."""

    id: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="Its number. Raised for each restore: one that was done is never done again."
    )
    to: Moment = Field(description="`latest`, `backup` (as that backup has it), or a time with its zone.")
    set: Label | None = Field(default=None, description="The backup to begin with; the newest before `to`.")


class Database(Section):
    """PostgreSQL 17: one primary, and standbys to read from."""

    engine: Literal["postgres", "cloudnative-pg"] = Field(
        default="postgres",
        description="Who runs it: plain objects of this program, or the operator CloudNativePG. "
        "Never changed in place: data do not move by themselves.",
    )
    operator: Operator | None = Field(default=None, description="Of `cloudnative-pg`, and required there.")
    namespace: Name = Field(default="data", description="One of `platform.namespaces`.")
    image: Image = Field(
        description="PostgreSQL; see images/postgres. Of `cloudnative-pg`: an image made for it."
    )
    exporter_image: Image | None = Field(
        default=None,
        description="The exporter of its metrics; see images/postgres-exporter. Of `postgres` alone.",
    )
    resources: Resources
    storage: Bytes = Field(description="The volume; it can grow, never shrink.")
    standbys: Annotated[int, Field(ge=0, le=5)] = Field(default=0, description="How many standbys.")
    first_standby: Annotated[int, Field(ge=0)] = Field(
        default=0, description="The first one's number; raised after a promotion, as its runbook says."
    )
    claim: Name | None = Field(
        default=None,
        description="After a promotion: the claim of the standby that is the primary now.",
    )
    restore: Restore | None = Field(
        default=None, description="What it is brought back to from its backups; see `make restore`."
    )
    max_connections: Annotated[int, Field(ge=20, le=1000)] = Field(
        default=100, description="How many may be connected at a time."
    )
    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Changes of PostgreSQL's parameters, of those that may be changed."
    )
    scram_iterations: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=4096,
        description="How often a client hashes a generated password of the product's when it connects. 1 "
        "spares most of what a connection costs, where the driver takes it; taken up with the next rotation.",
    )
    password_epoch: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Raise it by one to rotate the passwords of all its roles."
    )
    pool: Pool
