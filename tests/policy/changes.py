"""Changes that mutations are made of: each takes a program and gives another one."""

import json
from collections.abc import Callable, Mapping
from typing import Final

import yaml

from baseline.model import Value
from tests.policy.bases import TAGS
from tests.policy.cases.builders import Block, resource
from tests.policy.cases.s3 import document
from tests.policy.programs import Program


def edit(kind: str, name: str, edits: Mapping[str, Value]) -> Callable[[Program], Program]:
    """A change of some properties."""
    return lambda program: program.edit(kind, name, edits)


def text(kind: str, name: str, entry: str, old: str, new: str) -> Callable[[Program], Program]:
    """A change of a file in a ConfigMap."""
    return lambda program: program.edit_text(kind, name, entry, old, new)


POD: Final = "spec.template.spec"
APP: Final = f"{POD}.containers[0]"
SECURITY: Final = f"{APP}.securityContext"
API: Final = ("Deployment", "api-deployment")
CRON: Final = "spec.jobTemplate.spec.template.spec"
GRAFANA_RULE: Final = "spec.rules[0].host"


def without_default_deny(program: Program) -> Program:
    return program.drop("NetworkPolicy", "monitoring-default-deny")


def without_any_policy(program: Program) -> Program:
    """The worker leaves the namespace's walls for a namespace whose policies select nobody."""
    return program.edit("NetworkPolicy", "api-to-pool", {"spec.ingress": [{}]})


def helm(program: Program) -> Program:
    release: Block = {"chart": "redis", "namespace": "fixia-data"}
    return program.put(resource("kubernetes:helm.sh/v3:Release", release, "redis"))


def default_namespace(program: Program) -> Program:
    return program.clone("ConfigMap", "web-config", "stray-config", {"metadata.namespace": "default"})


def shared_account(program: Program) -> Program:
    return program.edit(*API, {f"{POD}.serviceAccountName": "default"})


def static_replicas(program: Program) -> Program:
    return program.edit(*API, {"spec.replicas": 3})


def anybody(program: Program) -> Program:
    trust: Block = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    return program.edit("Role", "backups-access-backup-role", {"assumeRolePolicy": document(trust)})


def disabled(kind: str, name: str) -> Callable[[Program], Program]:
    def change(program: Program) -> Program:
        rules: list[Value] = [{**rule, "enabled": False} for rule in program.value(kind, name, "rules")]
        return program.edit(kind, name, {"rules": rules})

    return change


def no_runbook(program: Program) -> Program:
    rules = [{"alert": "Odd", "expr": "up == 1", "annotations": {"summary": "It is up."}}]
    content = yaml.safe_dump({"groups": [{"name": "odd", "rules": rules}]})
    return program.clone("ConfigMap", "web-config", "odd-rules", {"data": {"odd.yaml": content}})


def without_file(name: str, entry: str) -> Callable[[Program], Program]:
    """A ConfigMap without one of its files."""

    def change(program: Program) -> Program:
        files = program.value("ConfigMap", name, "data")
        return program.edit("ConfigMap", name, {"data": {key: files[key] for key in files.keys() - {entry}}})

    return change


def unscraped_text(program: Program) -> Program:
    return program.edit("DnsRecord", "edge-api-a", {"proxied": False})


def no_exporter(program: Program) -> Program:
    containers = program.value("StatefulSet", "cache-stateful-set", "spec", "template", "spec", "containers")
    kept = [one for one in containers if "exporter" not in one["image"]]
    return program.edit("StatefulSet", "cache-stateful-set", {f"{POD}.containers": kept})


def same_probe(program: Program) -> Program:
    probe = program.value(*API, "spec", "template", "spec", "containers", 0, "readinessProbe")
    return program.edit(*API, {f"{APP}.livenessProbe": probe})


PARTS: Final = {
    "BucketPublicAccessBlock": "backups-repository-private",
    "BucketVersioning": "backups-repository-versioning",
    "BucketServerSideEncryptionConfiguration": "backups-repository-encryption",
    "BucketPolicy": "backups-repository-policy",
    "BucketLifecycleConfiguration": "backups-repository-lifecycle",
    "BucketObjectLockConfiguration": "backups-repository-lock",
    "BucketLogging": "backups-repository-logging",
    "BucketOwnershipControls": "backups-repository-ownership",
}
"""What belongs to the bucket with backups."""


def bucket(kind: str, edits: Mapping[str, Value]) -> Callable[[Program], Program]:
    return edit(kind, PARTS[kind], edits)


def gone(kind: str) -> Callable[[Program], Program]:
    return lambda program: program.drop(kind, PARTS[kind])


def unprotected(program: Program) -> Program:
    return program.protect("PersistentVolumeClaim", "database-data", protected=False)


def wide_policy(program: Program) -> Program:
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::fixia-backups/*"}
    return program.edit(
        "RolePolicy", "backups-access-backup-policy", {"policy": json.dumps({"Statement": [allow]})}
    )


LABELS: Final[dict[str, Value]] = {"metadata.labels": {"owner": TAGS["owner"], "environment": "production"}}


def longer(program: Program) -> Program:
    rules = "rules[0].noncurrentVersionExpiration.noncurrentDays"
    return bucket("BucketObjectLockConfiguration", {"rule.defaultRetention.days": 60})(
        bucket("BucketLifecycleConfiguration", {rules: 90})(program)
    )
