"""The ground: whose everything is, its namespaces and credentials, and what every part is handed of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi

from components.base import Identity
from components.data.maintenance import ROLE as MAINTENANCE
from components.data.postgres_config import GROUPS, SINGLE_ROLES
from components.platform.authority import Authority
from components.platform.credentials import Credentials, CredentialsArgs, Generated
from components.platform.namespace import NamespaceArgs, Quota
from components.platform.priorities import Priority
from components.pods import Resources
from settings import workload
from settings.data import CLOUDNATIVE_PG
from settings.model import Settings

PASSWORD_LENGTH: Final = 48
"""In letters and digits: more than anybody guesses, and short enough for every protocol."""

SITE: Final = "@"
"""The host label that stands for the domain itself."""

ENTRANCE_PORTS: Final = ("web", "websecure")


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every other component stands on.

    Attributes:
        identity: whose everything is.
        namespaces: tier -> the namespace's name in the cluster.
        priorities: priority -> the name of its class.
        authority: who vouches for the tiers that encrypt.
        credentials: what must not be told.
    """

    identity: Identity
    namespaces: Mapping[str, pulumi.Input[str]]
    priorities: Mapping[Priority, pulumi.Input[str]]
    authority: Authority
    credentials: Credentials


def of_identity(settings: Settings) -> Identity:
    """Whose the stack's objects are."""
    return Identity(**settings.stack.model_dump(exclude={"domain"}))


def of_namespace(name: str, settings: Settings, identity: Identity) -> NamespaceArgs:
    """One tier."""
    quota = settings.platform.namespaces[name].quota
    entered = settings.entrance and settings.entrance.node_ports and settings.entrance.namespace == name
    logs = settings.monitoring.logs if settings.monitoring else None
    collectors = logs.collector.namespace if logs else None
    return NamespaceArgs(
        identity=identity,
        quota=Quota(**dict(quota), node_ports=len(ENTRANCE_PORTS) if entered else 0),
        reads_nodes=name == collectors,
    )


def of_credentials(settings: Settings, identity: Identity) -> CredentialsArgs:
    """The stack's credentials: those that it makes, the database's too, and those that somebody set."""
    secrets = settings.secrets
    database = settings.database
    operated = database is not None and database.engine == CLOUDNATIVE_PG
    # The operator's own roles show certificates.
    roles = (*GROUPS, *((MAINTENANCE,) if operated else SINGLE_ROLES)) if database else ()
    epoch = database.password_epoch if database else 1
    return CredentialsArgs(
        identity=identity,
        generated={
            name: Generated(length=secret.generate, epoch=secret.epoch)
            for name, secret in secrets.items()
            if secret.generate is not None
        }
        | {f"{role}-password": Generated(length=PASSWORD_LENGTH, epoch=epoch) for role in roles},
        given={
            name: pulumi.Output.secret(secret.value.get_secret_value())
            for name, secret in secrets.items()
            if secret.value is not None
        },
    )


def resources(section: workload.Resources) -> Resources:
    """What a container may use."""
    return Resources(**dict(section))


def host(settings: Settings, label: str) -> str:
    """The full name of a host that the settings name by its first label."""
    return settings.stack.domain if label == SITE else f"{label}.{settings.stack.domain}"
