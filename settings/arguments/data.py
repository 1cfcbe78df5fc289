"""What keeps data: the database with its pool and nightly work, the cache."""

from typing import Final, TypeVar

from components.backup.repository import Repository
from components.backup.restore import Restore
from components.data.cache import CacheArgs
from components.data.cloudnative_pg import CloudNativeDatabaseArgs
from components.data.maintenance import ROLE as MAINTENANCE
from components.data.maintenance import MaintenanceArgs
from components.data.pgbouncer import PoolArgs, PooledDatabase
from components.data.postgres import Database, DatabaseArgs
from components.data.postgres_config import GROUPS, SINGLE_ROLES
from components.network import Addresses, Endpoint
from settings import data
from settings.arguments.ground import Ground, resources

_Some = TypeVar("_Some")

BACKUP_GRACE_SECONDS: Final = 600
"""So long may a backup's pod take to start, before the vacuum goes first."""


def of_database(section: data.Database, ground: Ground) -> DatabaseArgs:
    """PostgreSQL."""
    return DatabaseArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        exporter_image=_given(section.exporter_image),
        resources=resources(section.resources),
        storage=section.storage,
        credentials={role: ground.credentials[f"{role}-password"] for role in (*GROUPS, *SINGLE_ROLES)},
        authority=ground.authority,
        parameters=section.parameters,
        max_connections=section.max_connections,
        scram_iterations=section.scram_iterations,
        standbys=section.standbys,
        first_standby=section.first_standby,
        claim=section.claim,
        restore=Restore(**section.restore.model_dump()) if section.restore else None,
        priority_class=ground.priorities["critical"],
        protect=ground.identity.environment == "production",
    )


def of_pool(section: data.Database, ground: Ground, database: Database) -> PoolArgs:
    """PgBouncer in front of it."""
    return PoolArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.pool.image,
        exporter_image=_given(section.pool.exporter_image),
        resources=resources(section.pool.resources),
        replicas=section.pool.replicas,
        database=PooledDatabase(
            host=database.host,
            port=database.endpoint.port,
            name=database.database,
            endpoint=database.endpoint,
        ),
        app=ground.credentials["app-password"],
        pooler=ground.credentials["pooler-password"],
        budget=section.pool.budget,
        authority=ground.authority,
        priority_class=ground.priorities["critical"],
    )


def of_operated_database(section: data.Database, ground: Ground) -> CloudNativeDatabaseArgs:
    """PostgreSQL and PgBouncer, both run by CloudNativePG."""
    operator = _given(section.operator)
    return CloudNativeDatabaseArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        resources=resources(section.resources),
        storage=section.storage,
        credentials={role: ground.credentials[f"{role}-password"] for role in (*GROUPS, MAINTENANCE)},
        authority=ground.authority,
        pool_image=section.pool.image,
        pool_resources=resources(section.pool.resources),
        budget=section.pool.budget,
        api_server=Addresses(
            name="api-server",
            cidrs={cidr: [] for cidr in operator.api_server},
            port=operator.api_server_port,
        ),
        operator_namespace=operator.namespace,
        instances=1 + section.standbys,
        pool_replicas=section.pool.replicas,
        parameters=section.parameters,
        max_connections=section.max_connections,
        priority_class=ground.priorities["critical"],
        protect=ground.identity.environment == "production",
    )


def of_maintenance(
    section: data.Database, ground: Ground, database: Endpoint, repository: Repository | None = None
) -> MaintenanceArgs:
    """The database's nightly work; no backup is waited for where there is none, or an operator makes it."""
    waited_for = repository is not None and section.engine != data.CLOUDNATIVE_PG
    return MaintenanceArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        database=database,
        password=ground.credentials["maintenance-password"],
        authority=ground.authority,
        backup_grace_seconds=BACKUP_GRACE_SECONDS if waited_for else 0,
        priority_class=ground.priorities["background"],
    )


def of_cache(section: data.Cache, ground: Ground) -> CacheArgs:
    """The cache and queue."""
    return CacheArgs(
        identity=ground.identity,
        namespace=ground.namespaces[section.namespace],
        image=section.image,
        exporter_image=section.exporter_image,
        resources=resources(section.resources),
        storage=section.storage,
        password=ground.credentials[section.password],
        authority=ground.authority,
        priority_class=ground.priorities["critical"],
        protect=ground.identity.environment == "production",
    )


def _given(value: _Some | None) -> _Some:
    """What the settings hold for certain: `settings.postgres` refuses them otherwise."""
    if value is None:
        raise AssertionError("the settings were not checked")
    return value
