"""Promises of the real production stack broken, one of each subject, and found by the real engine.

The mutations are made by a resource transform in a copy of the program, after it has said what it wants and
before the engine asks any policy. All are made at once, each to another resource.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from baseline.pack import SUBJECTS
from simulator.report import Report
from simulator.session import Session
from tests.engine.platform import Platform, config, program_copy
from tests.recorder import ROOT

pytestmark = pytest.mark.engine

Found = set[tuple[str, str]]

POD: Final = "spec.template.spec"
APP: Final = f"{POD}.containers[0]"

Path_ = str | tuple[str, ...]

EDITS: Final[dict[str, tuple[str, Path_, Any]]] = {
    "read-only-root-filesystem": ("api-deployment", f"{APP}.securityContext.readOnlyRootFilesystem", False),
    "namespace-pss-restricted": (
        "data-namespace",
        ("metadata", "labels", "pod-security.kubernetes.io/enforce"),
        "baseline",
    ),
    "readiness-probe": ("worker-deployment", f"{APP}.readinessProbe", None),
    "no-latest-tag": ("web-deployment", f"{APP}.image", "ghcr.io/fixia/web:latest"),
    "min-replicas": ("api-autoscaler", "spec.minReplicas", 1),
    "no-external-ips": ("cache-service", "spec.externalIPs", ["203.0.113.7"]),
    "ingress-tls": ("routes-api-ingress", "spec.tls", None),
    "rbac-no-wildcards": ("entrance-cluster-role", "rules[0].verbs", ["*"]),
    "sa-token-automount-off": ("realtime-deployment", f"{POD}.automountServiceAccountToken", True),
    "no-plaintext-credentials": ("worker-config", "data.SMTP_PASSWORD", "hunter22"),
    "tls-between-tiers": ("realtime-config", "data.QUEUE_URL", "redis://cache:6379"),
    "cf-ssl-strict": ("edge-ssl", "value", "full"),
    "alerts-have-runbooks": (
        "web-config",
        ("data", "odd.yaml"),
        "groups: [{name: a, rules: [{alert: Odd, expr: time() - backup_made > 9}]}]",
    ),
    "backup-contract": ("backups-backup", "spec.concurrencyPolicy", "Allow"),
    "required-labels-tags": ("api-service", "metadata.labels.owner", None),
}
"""Policy to the resource that breaks it, the property, and its value there; None for none."""

ADDED: Final[Found] = {
    *((f"s3-{name}", "bad-backups") for name in ("versioning", "sse-kms", "tls-only", "lifecycle")),
    *(
        (f"s3-{name}", "bad-backups")
        for name in ("public-access-block", "access-logging", "bucket-owner-enforced")
    ),
    ("s3-object-lock", "bad-backups"),
    ("s3-no-force-destroy", "bad-backups"),
    ("iam-trust-scoped", "bad-role"),
}
"""What a bucket without anything and a role for anybody break."""

TRANSFORM: Final = """
import json as _json

import pulumi as _pulumi

_EDITS = _json.loads(EDITS)


def _mutate(args):
    if args.name not in _EDITS or args.type_.startswith("fixia:"):
        return None
    keys, value = _EDITS[args.name]
    target = args.props
    for key in keys[:-1]:
        target = target[int(key)] if isinstance(target, list) else target.setdefault(key, {})
    if value is None:
        target.pop(keys[-1], None)
    else:
        target[keys[-1]] = value
    return _pulumi.ResourceTransformResult(props=args.props, opts=args.opts)


_pulumi.runtime.register_resource_transform(_mutate)
"""

MORE: Final = """
import pulumi_aws as _aws

_opts = _pulumi.ResourceOptions(provider=_aws.Provider("bad-cloud", region="eu-central-1"))
_tags = {"owner": "a", "environment": "b", "cost-centre": "c"}
_aws.s3.Bucket("bad-backups", bucket="bad-backups", force_destroy=True, tags=_tags, opts=_opts)
_trust = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}]}
_aws.iam.Role("bad-role", assume_role_policy=_json.dumps(_trust), tags=_tags, opts=_opts)
"""


def broken(folder: Path) -> Path:
    """The program in a folder of its own, with every mutation."""
    program = program_copy(folder)
    edits = {
        name: (re.findall(r"[^.\[\]]+", path) if isinstance(path, str) else path, value)
        for name, path, value in EDITS.values()
    }
    assert len(edits) == len(EDITS), "one resource, one mutation"
    main = program / "__main__.py"
    transform = TRANSFORM.replace("EDITS)", f"{json.dumps(edits)!r})", 1)
    main.write_text(transform + main.read_text(encoding="utf-8") + MORE, encoding="utf-8")
    return program


def found(report: Report) -> Found:
    return {(one.policy, one.resource.split("::")[-1]) for one in report.violations}


def test_every_subject_is_broken() -> None:
    policies = {*EDITS, *(policy for policy, _ in ADDED)}
    untouched = {
        subject for subject, own in SUBJECTS.items() if not policies & {policy.name for policy in own}
    }
    assert untouched == set()


def test_engine_finds_one_mutation_of_each_subject_and_nothing_else(session: Session, tmp_path: Path) -> None:
    platform = Platform(session, tmp_path, stack="production")
    session.init("production", ROOT)
    options = (
        *("--policy-pack", str(ROOT / "policies")),
        *("--policy-pack-config", str(ROOT / "policies" / "levels.production.json")),
    )
    done, before = platform.run("preview", config("production"), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {one.level for one in before.violations} <= {"advisory"}

    done, after = platform.run("preview", None, *options, program=broken(tmp_path / "broken"))
    assert done.returncode != 0
    assert found(after) - found(before) == {(policy, name) for policy, (name, _, _) in EDITS.items()} | ADDED
