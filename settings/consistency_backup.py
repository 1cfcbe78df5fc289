"""What is wrong with the backups' settings only when they are seen together, or with other sections."""

from collections.abc import Iterator
from typing import Final

from components.backup.places import bucket_names
from settings.backup import Aws, Backup
from settings.data import CLOUDNATIVE_PG
from settings.disagreement import Disagreement
from settings.model import Settings

PRODUCTION: Final = "production"


def refused(settings: Settings) -> Iterator[Disagreement]:
    """Every disagreement of the section `backup`.

    Args:
        settings: each section of which is valid.
    """
    backup = settings.backup
    yield from _release(settings)
    if backup is None:
        return
    if settings.database is None:
        yield Disagreement("backup", "backups without a database", "no `backup`, or a section `database`")
    if backup.aws:
        yield from _aws(backup.aws, settings, backup.retention_days)
    yield from _external(backup)
    yield from _secrets(settings, backup)


def _aws(section: Aws, settings: Settings, retention_days: int) -> Iterator[Disagreement]:
    stack, lock = settings.stack, section.object_lock
    if section.region == section.replica_region:
        valid = "another region than the repository's: one region's loss must leave a copy"
        yield Disagreement("backup.aws.replicaRegion", repr(section.replica_region), valid)
    if lock is None and stack.environment == PRODUCTION:
        valid = "a lock in production, such as {mode: GOVERNANCE, days: 14}: whoever gets in must not delete"
        yield Disagreement("backup.aws.objectLock", "nothing", valid)
    if lock and lock.days > retention_days:
        valid = f"at most retentionDays, {retention_days}: what is expired and locked is only paid for"
        yield Disagreement("backup.aws.objectLock.days", str(lock.days), valid)
    try:
        bucket_names(stack.product, stack.environment, section.account)
    except ValueError as error:
        yield Disagreement("stack.product", repr(stack.product), f"a shorter one, by {error}")


def _release(settings: Settings) -> Iterator[Disagreement]:
    release, database = settings.release, settings.database
    if release is None:
        return
    path = "release.withoutSnapshot"
    if settings.backup is None and release.without_snapshot:
        yield Disagreement(
            path, "a reason without backups", "nothing, for none is taken; or a section `backup`"
        )
    operated = database is not None and database.engine == CLOUDNATIVE_PG
    if settings.backup and operated and not release.without_snapshot:
        valid = f"a reason: with {CLOUDNATIVE_PG} the operator makes the backups, and no release starts one"
        yield Disagreement(path, "nothing", valid)


def _external(backup: Backup) -> Iterator[Disagreement]:
    place = backup.external
    replica = place.replica if place else None
    if place and replica and (replica.endpoint, replica.bucket) == (place.endpoint, place.bucket):
        valid = "another bucket than the repository's"
        yield Disagreement("backup.external.replica.bucket", repr(replica.bucket), valid)


def _secrets(settings: Settings, backup: Backup) -> Iterator[Disagreement]:
    for path, name in backup.secret_names():
        if name not in settings.secrets:
            known = ", ".join(sorted(settings.secrets)) or "and there is none yet"
            yield Disagreement(f"backup.{path}", repr(name), f"one of `secrets`: {known}")
    cipher = settings.secrets.get(backup.cipher)
    if settings.stack.environment == PRODUCTION and cipher and cipher.generate is not None:
        why = "a generated one is lost with the stack's state, and with it every backup"
        yield Disagreement("backup.cipher", repr(backup.cipher), f"a secret that somebody gave: {why}")
