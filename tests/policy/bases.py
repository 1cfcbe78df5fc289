"""What mutations start from: the real production stack, and additions for what is not in it yet.

Each addition is as small as it can be and breaks no policy. It stands in for a component until that is in the
stack; then the mutations move to "production" (`mutations.py`) and the addition goes.
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache

import yaml

from baseline.model import Resource, Value
from tests.policy.cases.builders import Block
from tests.policy.programs import Program, recorded
from tests.recorder import record_stack

DIGEST = f"@sha256:{'0' * 64}"
TAGS: Block = {"owner": "platform-team", "environment": "production", "cost-centre": "platform"}


@lru_cache(maxsize=1)
def production() -> Program:
    """The real stack."""
    return recorded(record_stack("production"))


def pinned() -> Program:
    """The real stack, with the digests that a lock file will give its images."""
    program = production()
    for one in production():
        text = json.dumps(one.properties)
        if '"image":' in text:
            found = re.sub(r'("image": "[^"@]+)"', rf'\1{DIGEST}"', text)
            program = program.put(Resource(one.type, one.name, one.urn, json.loads(found), one.protected))
    return program


def _file(program: Program, name: str, entry: str, text: str) -> Program:
    return program.clone("ConfigMap", "web-config", name, {"data": {entry: text}})


def _rules(program: Program) -> Program:
    rules = [
        {
            "alert": "BackupOld",
            "expr": "time() - backup_last_success_seconds > 90000",
            "annotations": {"runbook": "a.md"},
        },
        {"alert": "Down", "expr": "up == 0", "annotations": {"runbook": "b.md"}},
    ]
    return _file(
        program, "alert-rules", "platform.yaml", yaml.safe_dump({"groups": [{"name": "a", "rules": rules}]})
    )


def monitoring() -> Program:
    """Production with a Prometheus that finds pods by their port for metrics, and rules."""
    labels: Block = {"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/part-of": "fixia"}
    program = production()
    for kind, of in (
        ("Deployment", "entrance-deployment"),
        ("HorizontalPodAutoscaler", "entrance-autoscaler"),
        ("PodDisruptionBudget", "entrance-disruption-budget"),
    ):
        edits: dict[str, Value] = {}
        if kind == "Deployment":
            edits = {
                "spec.selector.matchLabels": labels,
                "spec.template.metadata.labels": {**TAGS, **labels},
                "spec.template.spec.containers[0].image": "quay.io/prometheus/prometheus:v3.5.0",
            }
        elif kind == "PodDisruptionBudget":
            edits = {"spec.selector.matchLabels": labels}
        else:
            edits = {"spec.scaleTargetRef.name": "prometheus"}
        program = program.clone(kind, of, "prometheus", edits)
    job = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod"}],
        "relabel_configs": [
            {
                "source_labels": ["__meta_kubernetes_pod_container_port_name"],
                "regex": "metrics",
                "action": "keep",
            }
        ],
    }
    return _rules(
        _file(program, "prometheus-config", "prometheus.yml", yaml.safe_dump({"scrape_configs": [job]}))
    )


BASES: dict[str, Callable[[], Program]] = {
    "production": production,
    "production, images pinned": pinned,
    "production + monitoring": monitoring,
}
