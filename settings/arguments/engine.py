"""Who runs PostgreSQL: the one choice between two components, and what everybody else needs of either."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pulumi

from components.backup.repository import Repository
from components.backup.restore import Restore
from components.data.cloudnative_pg import CloudNativeDatabase
from components.data.maintenance import ROLE as MAINTENANCE
from components.data.pgbouncer import Pool
from components.data.postgres import Database
from components.network import Endpoint
from components.watch import Watch
from settings import data
from settings.arguments.data import of_database, of_operated_database, of_pool
from settings.arguments.ground import Ground
from settings.workload import POOL

DATABASE = "database"


@dataclass(frozen=True, kw_only=True)
class ServedDatabase:
    """The database as all others know it, whoever runs it.

    Attributes:
        direct: PostgreSQL itself, for the migrations: as the owner of all tables.
        maintenance: PostgreSQL itself, for the nightly work.
        pool: where everybody else calls.
        parts: what must stand before anybody calls.
        watches: how they are watched.
        own: our own component, which our jobs back up; None where an operator makes the backups.
    """

    direct: Endpoint
    maintenance: Endpoint
    pool: Endpoint
    parts: Sequence[pulumi.Resource]
    watches: Sequence[Watch]
    own: Database | None = None


def served_database(
    section: data.Database,
    ground: Ground,
    opts: pulumi.ResourceOptions,
    repository: Repository | None = None,
) -> ServedDatabase:
    """The database and its pool, by the engine that the settings name.

    Args:
        section: what the settings say of it.
        ground: what it stands on.
        opts: with providers that change a ConfigMap and a Secret in place.
        repository: where it is backed up to.
    """
    if section.engine == data.CLOUDNATIVE_PG:
        told = replace(
            of_operated_database(section, ground),
            repository=repository,
            restore=Restore(**section.restore.model_dump()) if section.restore else None,
        )
        operated = CloudNativeDatabase(DATABASE, told, opts)
        return ServedDatabase(
            direct=operated.endpoint,
            maintenance=operated.called_as(MAINTENANCE),
            pool=operated.pool_endpoint,
            parts=[operated],
            watches=[operated.watch],
        )
    database = Database(DATABASE, replace(of_database(section, ground), repository=repository), opts)
    pool = Pool(POOL, of_pool(section, ground, database), opts)
    return ServedDatabase(
        direct=database.endpoint,
        maintenance=database.called_as(MAINTENANCE),
        pool=pool.endpoint,
        parts=[database, pool],
        watches=[database.watch, pool.watch],
        own=database,
    )
