"""What PostgreSQL and its pool refuse of a stack's settings, told before anything is deployed."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from components.data import cloudnative_pg_config, pgbouncer_config, postgres_config
from settings import parameters
from settings.backup import Backup
from settings.data import CLOUDNATIVE_PG, Database
from settings.disagreement import Disagreement
from settings.model import Settings

_SOUND: Final[dict[str, Any]] = {"memory": "4Gi", "cpu": "1", "storage": "64Gi", "database": "sound"}
"""What nothing is wrong with, so that each setting is judged alone."""

DEFAULT_ITERATIONS: Final = Database.model_fields["scram_iterations"].default

_OPERATORS_TAG: Final = re.compile(r".*:17(\.[0-9]+)*([._-][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?")
"""Source: CloudNativePG 1.28, Container Image Requirements."""

_WITHOUT_BARMAN: Final = re.compile(r"[._-](minimal|standard)([._-]|@|$)")
"""Parts of the tags of images that can't back up by themselves.

Source: https://github.com/cloudnative-pg/postgres-containers, Image Types.
"""

_NOT_BY_THE_OPERATOR: Final = {
    "cipher": "it encrypts nothing by itself, so the bucket must",
    "promised_rpo_seconds": "nobody measures it there",
    "promised_rto_seconds": "nobody measures it there",
}
"""Settings of the backups that only our own jobs keep, where somebody has written them."""


def refused(settings: Settings) -> Iterator[Disagreement]:
    """All that PostgreSQL, its pool or its operator would refuse.

    Args:
        settings: each section of which is valid.
    """
    database = settings.database
    if database is None:
        return
    yield from _server(database)
    yield from _parameters(database)
    yield from _name(settings)
    if database.engine == CLOUDNATIVE_PG:
        yield from _of_the_operator(database)
        yield from _operated_backups(database, settings.backup)
        yield from _operated_restore(database, settings.backup)
    else:
        yield from _of_our_own(database)


def _server(database: Database) -> Iterator[Disagreement]:
    for path, field, value in (
        ("resources.memoryLimit", "memory", database.resources.memory_limit),
        ("resources.cpu", "cpu", database.resources.cpu),
        ("storage", "storage", database.storage),
    ):
        if reason := _refusal(**{field: value}):
            yield Disagreement(f"database.{path}", value, reason)


def _parameters(database: Database) -> Iterator[Disagreement]:
    for name, value in database.parameters.items():
        path, shown = f"database.parameters.{name}", json.dumps(value)
        if reason := _refusal(parameters={name: value}):
            yield Disagreement(path, shown, reason)
        elif database.engine == CLOUDNATIVE_PG and name in cloudnative_pg_config.OPERATORS:
            yield Disagreement(path, shown, "left out: the operator sets it")
        elif valid := parameters.valid_instead(name, value):
            yield Disagreement(path, shown, valid)
        elif name == "shared_buffers" and not _refusal(memory=database.resources.memory_limit):
            limit = postgres_config.binary(database.resources.memory_limit)
            blocks = parameters.in_its_unit(name, value) or 0
            if 2 * blocks * parameters.NUMBERS[name].unit > limit:
                most = f"{limit // 2 // 2**20}MB"
                yield Disagreement(
                    path, shown, f"at most {most}, half of the memory limit: sessions need it too"
                )


def _refusal(**changes: Any) -> str | None:
    """Why PostgreSQL's configuration can't be made with these changes; None if it can."""
    try:
        postgres_config.postgresql_conf(postgres_config.Server(**{**_SOUND, **changes}))
    except ValueError as error:
        return str(error)
    return None


def _name(settings: Settings) -> Iterator[Disagreement]:
    """A product whose name PgBouncer has taken for itself: the database is named after it."""
    name = postgres_config.database_name(settings.stack.product)
    connections = pgbouncer_config.ServerConnections(pool=1, reserve=1)
    try:
        pgbouncer_config.config_files(connections, host="host", port=postgres_config.PORT, database=name)
    except ValueError as error:
        yield Disagreement("stack.product", settings.stack.product, str(error))


def _of_our_own(database: Database) -> Iterator[Disagreement]:
    """What the other engine alone is told, and what this one must be."""
    if database.operator is not None:
        yield Disagreement("database.operator", "an operator", f"left out, or `engine: {CLOUDNATIVE_PG}`")
    for path, image in (
        ("database.exporterImage", database.exporter_image),
        ("database.pool.exporterImage", database.pool.exporter_image),
    ):
        if image is None:
            yield Disagreement(path, "nothing", "the image of the exporter; see images")


def _of_the_operator(database: Database) -> Iterator[Disagreement]:
    """What the operator must be told, and what it does by itself."""
    if database.operator is None:
        yield Disagreement("database.operator", "nothing", "a section with `apiServer`, which its pods ask")
    own = {
        "exporterImage": (database.exporter_image, "its instances serve metrics themselves"),
        "pool.exporterImage": (database.pool.exporter_image, "its poolers serve metrics themselves"),
        "claim": (database.claim, "it knows which volume is the primary's"),
        "firstStandby": (database.first_standby or None, "it numbers instances itself"),
        "scramIterations": (
            None if database.scram_iterations == DEFAULT_ITERATIONS else database.scram_iterations,
            "it hashes passwords itself",
        ),
    }
    for path, (found, why) in own.items():
        if found is not None:
            yield Disagreement(f"database.{path}", str(found), f"left out with `{CLOUDNATIVE_PG}`: {why}")
    if not _OPERATORS_TAG.fullmatch(database.image):
        valid = "a tag that begins with 17, such as 17.6: the operator reads PostgreSQL's version there"
        yield Disagreement("database.image", database.image, valid)


def _operated_backups(database: Database, backup: Backup | None) -> Iterator[Disagreement]:
    """What the operator's backups can't be, and somebody has asked for."""
    if backup is None:
        return
    for field, why in _NOT_BY_THE_OPERATOR.items():
        if field in backup.model_fields_set:
            path = f"backup.{Backup.model_fields[field].alias or field}"
            found = json.dumps(getattr(backup, field))
            yield Disagreement(path, found, f"left out with `{CLOUDNATIVE_PG}`: {why}")
    if backup.external and backup.external.replica:
        why = "only our own drill reads it"
        yield Disagreement("backup.external.replica", "a copy", f"left out with `{CLOUDNATIVE_PG}`: {why}")
    tag = database.image.rpartition("/")[2]
    if _WITHOUT_BARMAN.search(tag):
        valid = "an image with Barman's tools, such as 17.6-system-trixie: the instances back up themselves"
        yield Disagreement("database.image", database.image, valid)


def _operated_restore(database: Database, backup: Backup | None) -> Iterator[Disagreement]:
    """What the operator can't recover."""
    restore = database.restore
    if restore is None:
        return
    if backup is None:
        valid = "left out, or a section `backup`: there is nothing to recover from"
        yield Disagreement("database.restore", "a restore without backups", valid)
    if restore.to == "backup":
        valid = f"`latest` or a time: with `{CLOUDNATIVE_PG}` every backup is replayed at least to its end"
        yield Disagreement("database.restore.to", json.dumps(restore.to), valid)
    if restore.set is not None:
        valid = f"left out with `{CLOUDNATIVE_PG}`: it finds the backup itself"
        yield Disagreement("database.restore.set", json.dumps(restore.set), valid)
