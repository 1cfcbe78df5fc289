"""What keeps data: the database with its pool, the cache and queue."""

from typing import Annotated

from pydantic import Field

from settings.section import Section
from settings.types import Bytes, Image, Name
from settings.workload import Resources


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
    exporter_image: Image = Field(description="The exporter of its metrics; see images/pgbouncer-exporter.")
    resources: Resources
    replicas: Annotated[int, Field(ge=2, le=10)] = Field(default=2, description="How many pods.")
    budget: Annotated[int, Field(ge=4, le=1000)] = Field(
        default=20, description="Connections to PostgreSQL, of all its pods together at any time."
    )


class Database(Section):
    """PostgreSQL 17: one primary, and standbys to read from."""

    namespace: Name = Field(default="data", description="One of `platform.namespaces`.")
    image: Image = Field(description="PostgreSQL; see images/postgres.")
    exporter_image: Image = Field(description="The exporter of its metrics; see images/postgres-exporter.")
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
    max_connections: Annotated[int, Field(ge=20, le=1000)] = Field(
        default=100, description="How many may be connected at a time."
    )
    parameters: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="Changes of PostgreSQL's parameters, of those that may be changed."
    )
    password_epoch: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Raise it by one to rotate the passwords of all its roles."
    )
    pool: Pool
