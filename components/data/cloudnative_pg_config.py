"""What CloudNativePG is told: pure functions from our own configuration to what the operator takes of it."""

import configparser
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from components.data import pgbouncer_config, postgres_config
from components.pods import Resources

RELOAD: Final = {"cnpg.io/reload": "true"}
"""The label of a Secret whose changes the operator takes up at once."""

_FOLDER: Final = Path(__file__).parent
_IMAGE: Final = _FOLDER.parents[1] / "images" / "postgres" / "rootfs" / "usr" / "share" / "database"
_SQL: Final = {
    "roles.sql": _FOLDER / "cloudnative_pg.sql",
    "maintenance.sql": _IMAGE / "40-maintenance.sql",
}

OPERATORS: Final = frozenset({
    "allow_alter_system", "archive_command", "archive_mode", "archive_timeout", "hba_file", "hot_standby",
    "listen_addresses", "log_destination", "log_line_prefix", "logging_collector", "port",
    "shared_preload_libraries", "ssl", "ssl_cert_file", "ssl_key_file", "unix_socket_directories",
})  # fmt: skip
"""What the operator sets in PostgreSQL itself; it loads pg_stat_statements when it has parameters.

Source: FixedConfigurationParameters in its pkg/postgres/configuration.go.
"""

POOLERS: Final = frozenset({
    "client_login_timeout", "default_pool_size", "idle_transaction_timeout", "ignore_startup_parameters",
    "listen_backlog", "max_client_conn", "max_db_connections", "max_prepared_statements",
    "query_wait_timeout", "reserve_pool_size", "reserve_pool_timeout", "server_connect_timeout",
    "server_idle_timeout", "server_lifetime", "server_login_retry", "server_tls_sslmode", "tcp_keepcnt",
    "tcp_keepidle", "tcp_keepintvl", "tcp_user_timeout",
})  # fmt: skip
"""What of our PgBouncer the operator takes. Source: its internal/webhook/v1/pooler_webhook.go."""


SECURITY: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What the operator sets of a container in any case; said, so that the preview shows it and policies see it.

Source: `GetSecurityContext` in its pkg/specs/containers.go.
"""


def sql() -> dict[str, str]:
    """What is run once in the new database, by file name, in order."""
    return {name: path.read_text(encoding="utf-8") for name, path in _SQL.items()}


def parameters(server: postgres_config.Server) -> dict[str, str]:
    """Our own postgresql.conf, but for what the operator sets.

    Raises:
        ValueError: as `postgres_config.postgresql_conf`.
    """
    lines = re.findall(r"^([a-z_.]+) = (.+)$", postgres_config.postgresql_conf(server), re.MULTILINE)
    return {
        name: value.removeprefix("'").removesuffix("'").replace("''", "'")
        for name, value in lines
        if name not in OPERATORS
    }


def pool_parameters(budget: int, replicas: int, *, database: str, clients: int) -> dict[str, str]:
    """Our own pgbouncer.ini, but for what the operator sets.

    Raises:
        ValueError: as `pgbouncer_config.server_connections`.
    """
    connections = pgbouncer_config.server_connections(budget, pgbouncer_config.pods_at_once(replicas))
    ini = configparser.ConfigParser(interpolation=None)
    files = pgbouncer_config.config_files(
        connections, host="database", port=postgres_config.PORT, database=database, clients=clients
    )
    ini.read_string(files["pgbouncer.ini"])
    told = {name: value for name, value in ini["pgbouncer"].items() if name in POOLERS}
    # There it is the database's own; the operator knows one for all.
    return {**told, "max_db_connections": str(connections.transactions)}


def services(name: str) -> dict[str, Any]:
    """Our own names beside the operator's `<name>-rw`, which can't be left out."""
    return {
        "disabledDefaultServices": ["r", "ro"],
        "additional": [
            {
                "selectorType": selector,
                "serviceTemplate": {"metadata": {"name": called}, "spec": {"type": "ClusterIP"}},
            }
            for selector, called in (("rw", name), ("ro", f"{name}-read"))
        ],
    }


def resources(of: Resources) -> dict[str, Any]:
    """What a container may use."""
    return {
        "requests": {"cpu": of.cpu, "memory": of.memory},
        "limits": {"memory": of.memory_limit},
    }


def given(**fields: Any) -> dict[str, Any]:
    """Those that have a value."""
    return {name: value for name, value in fields.items() if value is not None}
