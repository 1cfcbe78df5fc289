"""Backups: made on time, one at a time, missed loudly, and kept as long by the bucket as by the job."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_policy import Severity

from baseline.buckets import Bucket, buckets, s3_kind
from baseline.files import files, sections, whole
from baseline.frameworks import soc2
from baseline.manifests import DATABASE_CLUSTER, Manifest, is_kind, manifests
from baseline.model import UNKNOWN, Policy, Resource, StackPolicy, Violation
from baseline.monitoring import Rule, rules
from baseline.s3 import lock_days
from baseline.subjects import Item, ObjectsPolicy, each
from baseline.tree import Node, must, must_be

_CRON_JOB: Final = ("batch", "CronJob")
_SCHEDULED: Final = ("postgresql.cnpg.io", "ScheduledBackup")
_RULES: Final = ("monitoring.coreos.com", "PrometheusRule")
_CONFIG_MAP: Final = ("core", "ConfigMap")

_BACKUP: Final = re.compile(r"(?i)back-?up|pgbackrest|pg_dump|wal-g|barman|restic|velero")
_NOT_BACKUP: Final = re.compile(r"(?i)restore|verify|drill|check")
_AGE: Final = re.compile(r"(?i)last_|_age\b|time\(\)|timestamp")
_LEFT_OUT: Final = re.compile(r"\w+\s*(!=|!~)\s*\"[^\"]*\"")
_SCHEDULE: Final = re.compile(r"(@(hourly|daily|weekly|midnight)|(\S+\s+){4,5}\S+)")
_YEAR: Final = 365


def _on_age(rule: Rule) -> bool:
    """Tell whether an alert is about backups and how old they are; one that leaves them out is not."""
    asked = _LEFT_OUT.sub("", rule.expression)
    return bool(_BACKUP.search(f"{rule.name} {asked}") and _AGE.search(asked))


def makes_backups(manifest: Manifest) -> bool:
    """Tell whether a CronJob makes backups: its name says so, or its label ``component``.

    Restores and checks of backups have no freshness of their own.

    Args:
        manifest: The CronJob.

    Returns:
        Whether it does; the names of images and commands count too.
    """
    said = [manifest.name.value, manifest.root.at("metadata", "labels", "app.kubernetes.io/component").value]
    for pod in manifest.pods():
        for container in pod.containers():
            said += [container.at("name").value, container.at("image").value]
            said += [one.value for key in ("command", "args") for one in container.at(key).items()]
    texts = [one for one in said if isinstance(one, str)]
    name = manifest.name.value if isinstance(manifest.name.value, str) else ""
    return any(_BACKUP.search(text) for text in texts) and not _NOT_BACKUP.search(name)


def check_contract(items: Sequence[Item], *, by_hand: Sequence[str]) -> Iterator[Violation]:
    """Require a schedule, no two at once, a deadline, and an alert where the stack has alerts at all.

    Args:
        items: The objects of the stack.
        by_hand: Names of CronJobs that may be suspended: somebody starts them.

    Yields:
        What is missing.
    """
    jobs = [
        one
        for one in items
        if one.manifest.kind.is_any(_SCHEDULED)
        or (
            one.manifest.kind.is_any(_CRON_JOB)
            and not one.manifest.kind.patch
            and makes_backups(one.manifest)
        )
    ]
    if not jobs:
        return
    alerts = [rule for item in items for rule in rules(item.manifest)]
    fresh = [one for one in alerts if _on_age(one)]

    def check(item: Item) -> Iterator[Violation]:
        spec = item.root.at("spec")
        yield from must(
            spec.at("schedule"),
            lambda value: isinstance(value, str) and _SCHEDULE.fullmatch(value.strip()) is not None,
            "a schedule of five fields",
        )
        if item.manifest.kind.is_any(_CRON_JOB):
            if item.manifest.name.value not in by_hand:
                yield from must_be(spec.at("suspend"), None, False)
            yield from must_be(spec.at("concurrencyPolicy"), "Forbid")
            yield from must(spec.at("startingDeadlineSeconds"), _is_number, "seconds")
            deadline = spec.at("jobTemplate", "spec", "activeDeadlineSeconds")
            yield from must(deadline, _is_number, "seconds")
        if alerts and not fresh:
            yield Violation(
                item.manifest.name.path, item.manifest.name.value, "watched by an alert on its age"
            )

    yield from each(jobs, check)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _kept_days(items: Sequence[Item]) -> list[tuple[Item, Node, int]]:
    """Find how long the stack's jobs keep backups, in days."""
    found: list[tuple[Item, Node, int]] = []
    for file in files(items):
        for own in sections(file.text).values() if "retention-full" in file.text else ():
            for key, value in own.items():
                match = re.fullmatch(r"(repo\d+)-retention-full", key)
                days = whole(value)
                if match and days is not None and own.get(f"{match[1]}-retention-full-type") == "time":
                    found.append((file.item, file.node, days))
    for item in items:
        if item.manifest.kind.is_any(DATABASE_CLUSTER):
            node = item.root.at("spec", "backup", "retentionPolicy")
            match = re.fullmatch(r"(\d{1,6})([dwm])", node.value) if isinstance(node.value, str) else None
            if match:
                found.append((item, node, int(match[1]) * {"d": 1, "w": 7, "m": 30}[match[2]]))
        for pod in item.manifest.pods():
            for container in pod.containers():
                for variable in container.at("env").items():
                    name, days = variable.at("name").value, whole(variable.at("value").value)
                    if (
                        isinstance(name, str)
                        and re.search(r"RETENTION(_FULL)?(_DAYS)?$", name)
                        and days is not None
                    ):
                        found.append((item, variable.at("value"), days))
    return found


def check_retention(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Require that a bucket keeps backups neither shorter than the jobs promise nor locked for longer."""
    items = [Item(one, manifest) for one in resources for manifest in manifests(one)]
    kept = _kept_days(items)
    holding = [one for one in buckets(resources) if one.keeps_backups]
    if not kept or not holding:
        return
    longest = max(days for _, _, days in kept)
    for bucket in holding:
        yield from _check_bucket(bucket, longest)


def _check_bucket(bucket: Bucket, longest: int) -> Iterator[Violation]:
    resource, rules_ = bucket.find("BucketLifecycleConfiguration", "rules", inline=("lifecycleRules",))
    for rule in rules_.items():
        current = rule.at("expiration", "days")
        days = whole(current.value)
        if days is not None and days < longest:
            valid = f"at least {longest} days, as long as the jobs keep backups"
            yield Violation(current.path, days, valid, resource=resource)
        elif current.value is UNKNOWN:
            yield Violation(current.path, UNKNOWN, f"at least {longest} days", resource=resource)
    resource, retention = bucket.find("BucketObjectLockConfiguration", "rule", "defaultRetention")
    locked = lock_days(retention)
    if locked is not None and locked > longest:
        valid = f"at most {longest} days, after which the jobs delete backups"
        yield Violation(f"{retention.path}.days", locked, valid, resource=resource)


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectsPolicy(
        name="backup-contract",
        description="Backups must have a schedule, run one at a time, end by a deadline and, where the "
        "stack has alerts, be missed by one. What makes backups says so: in a name, label or command. "
        "The option `by_hand` names CronJobs that may be suspended.",
        remedy="Set schedule, concurrencyPolicy: Forbid and both deadlines, and alert on the last backup.",
        severity=Severity.HIGH,
        framework=soc2("A1.2"),
        anchors=("kube-score:cronjob-has-deadline", "SOC2-A1.2"),
        options={"by_hand": ()},
        selects=lambda token: is_kind(token, _CRON_JOB, _SCHEDULED, _RULES, _CONFIG_MAP),
        check=check_contract,
    ),
    StackPolicy(
        name="backup-retention-agrees",
        description="Buckets must keep backups as long as the jobs promise, and lock them no longer. Read "
        "are pgBackRest's settings in ConfigMaps, variables named RETENTION, and CloudNativePG's own field.",
        remedy="Derive the job's retention and the bucket's days from one setting.",
        severity=Severity.HIGH,
        framework=soc2("A1.2"),
        anchors=("SOC2-A1.2", "SOC2-PI1.5", "promise:backup-retention"),
        selects=lambda token: (
            s3_kind(token) is not None or is_kind(token, _CRON_JOB, _CONFIG_MAP, DATABASE_CLUSTER)
        ),
        check=check_retention,
    ),
)
