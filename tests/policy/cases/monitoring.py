"""Cases of the policies about what is watched and backed up."""

from collections.abc import Mapping

import yaml

from baseline.model import UNKNOWN, Resource, Value
from tests.policy.cases.builders import (
    ABSENT,
    DEPLOYMENT,
    IMAGE,
    Block,
    Case,
    Kind,
    cases,
    edited,
    labelled,
    pod_object,
    resource,
    workload,
)
from tests.policy.cases.data import APP, CLUSTER, config_map
from tests.policy.cases.s3 import bucket, cycle, lock

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind


def rule(name: str, expression: str = "up == 0", **annotations: str) -> dict[str, object]:
    """An alerting rule."""
    return {"alert": name, "expr": expression, "annotations": annotations}


def rules(*alerts: dict[str, object], name: str = "rules") -> Resource:
    """A ConfigMap with a file of rules."""
    text = yaml.safe_dump({"groups": [{"name": "a", "rules": [{"record": "b", "expr": "c"}, *alerts]}]})
    return config_map({"shop.yaml": text}, name)


PAGE = {"runbook": "docs/runbooks/shop.md"}
PROMETHEUS_RULE = "monitoring.coreos.com/v1:PrometheusRule"


def custom_rules(annotations: Value) -> Resource:
    """The operator's object with one rule."""
    return labelled(PROMETHEUS_RULE, {"groups": [{"rules": [{"alert": "Down", "annotations": annotations}]}]})


WHERE = 'data["shop.yaml"]: alert Down: annotations.runbook'
CUSTOM = "spec.groups[0].rules[0]: alert Down: annotations.runbook"
RUNBOOKS = cases(
    "alerts-have-runbooks",
    (PASS, "a page", (rules(rule("Down", **PAGE)),), {}),
    (PASS, "by its other name", (custom_rules({"runbook_url": "https://wiki"}),), {}),
    (PASS, "no rules", (config_map({"shop.yaml": "groups: [\n", "a": "groups: {}"}),), {}),
    (FAIL, "an empty one", (rules(rule("Down", runbook=" ")),), {WHERE: ABSENT}),
    (FAIL, "the operator's object", (custom_rules({"summary": "a"}),), {CUSTOM: ABSENT}),
    (MISSING, "the page", (rules(rule("Down", summary="It is down.")),), {WHERE: ABSENT}),
    (MISSING, "annotations", (rules({"alert": "Down", "expr": "a"}),), {WHERE: ABSENT}),
    (UNKNOWN_VALUE, "the annotations", (custom_rules(UNKNOWN),), {CUSTOM: UNKNOWN}),
)

PROMETHEUS = edited(
    pod_object(DEPLOYMENT, {f"{APP}.image": "quay.io/prometheus/prometheus:v3"}),
    {"metadata.name": "prometheus", "spec.template.metadata.labels.app": "prometheus"},
)
SERVER = resource(DEPLOYMENT, PROMETHEUS, "prometheus")


def scraping(*jobs: dict[str, object]) -> Resource:
    """What Prometheus scrapes: itself, and what is given."""
    text = yaml.safe_dump({"scrape_configs": [{"job_name": "prometheus"}, *jobs]})
    return config_map({"prometheus.yml": text}, "prometheus")


FINDS_PODS: dict[str, object] = {
    "job_name": "pods",
    "kubernetes_sd_configs": [{"role": "pod"}],
    "relabel_configs": [
        {"source_labels": ["__meta_kubernetes_pod_container_port_name"], "regex": "metrics", "action": "keep"}
    ],
}
PORTS: Block = {f"{APP}.ports": [{"name": "metrics", "containerPort": 9}]}
DOWN = rules(rule("Down", "up == 0", **PAGE))
POD_LABELS, NAME = "spec.template.metadata.labels", "metadata.name"
MONITORED = cases(
    "workloads-monitored",
    (PASS, "by name", (SERVER, workload(), scraping({"job_name": "web"}), DOWN), {}),
    (PASS, "by what it finds", (SERVER, workload(edits=PORTS), scraping(FINDS_PODS), DOWN), {}),
    (
        PASS,
        "by a monitor",
        (
            SERVER,
            workload(),
            scraping(),
            labelled("monitoring.coreos.com/v1:PodMonitor", {"selector": {"matchLabels": {"app": "web"}}}),
            DOWN,
        ),
        {},
    ),
    (PASS, "no Prometheus, no rule", (workload(),), {}),
    (FAIL, "not scraped", (SERVER, workload(), scraping(FINDS_PODS), DOWN), {POD_LABELS: "web"}),
    (
        FAIL,
        "no alert",
        (SERVER, workload(), scraping({"job_name": "web"}), rules(rule("Down", 'up{job="prometheus"} == 0'))),
        {NAME: "web"},
    ),
    (
        MISSING,
        "all of it",
        (SERVER, workload(), scraping(), rules(rule("Down", 'up{job="prometheus"}'))),
        {POD_LABELS: "web", NAME: "web"},
    ),
    (
        UNKNOWN_VALUE,
        "what is scraped",
        (SERVER, workload(), scraping(), config_map(UNKNOWN, "more"), DOWN),
        {POD_LABELS: UNKNOWN},
    ),
)


def job(name: str = "db-backup", edits: Mapping[str, Value] | None = None, **spec: Value) -> Resource:
    """A CronJob that makes backups."""
    right: Block = {"schedule": "0 2 * * *", "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 600}
    template: Block = {
        "spec": {
            "activeDeadlineSeconds": 3600,
            "template": {"spec": {"containers": [{"name": "main", "image": IMAGE}]}},
        }
    }
    whole = edited({**right, "jobTemplate": template}, {**(edits or {}), **spec})
    return labelled("batch/v1:CronJob", whole, name)


OLD = rules(rule("BackupOld", "time() - backup_last_success > 90000", **PAGE))
CONTRACT = cases(
    "backup-contract",
    (PASS, "all of it", (job(), OLD), {}),
    (PASS, "no alerts at all", (job(),), {}),
    (PASS, "another job", (job("report", concurrencyPolicy="Allow"),), {}),
    (PASS, "a restore is not a backup", (job("backup-restore", concurrencyPolicy="Allow"),), {}),
    (
        PASS,
        "the operator's",
        (labelled("postgresql.cnpg.io/v1:ScheduledBackup", {"schedule": "0 0 2 * * *"}),),
        {},
    ),
    (FAIL, "two at once", (job(concurrencyPolicy="Allow"),), {"spec.concurrencyPolicy": "Allow"}),
    (PASS, "started by hand", (job("backup-by-hand", suspend=True),), {}),
    (FAIL, "switched off", (job(suspend=True),), {"spec.suspend": True}),
    (FAIL, "at no time", (job(schedule="daily"),), {"spec.schedule": "daily"}),
    (FAIL, "nobody would notice", (job(), DOWN), {"metadata.name": "db-backup"}),
    (
        FAIL,
        "by its command",
        (
            job(
                "nightly",
                {
                    "jobTemplate.spec.template.spec.containers[0].command": ["pg_dump"],
                    "concurrencyPolicy": "Allow",
                },
            ),
        ),
        {"spec.concurrencyPolicy": "Allow"},
    ),
    (
        MISSING,
        "the deadlines",
        (job(edits={"startingDeadlineSeconds": ABSENT, "jobTemplate.spec.activeDeadlineSeconds": ABSENT}),),
        {"spec.startingDeadlineSeconds": ABSENT, "spec.jobTemplate.spec.activeDeadlineSeconds": ABSENT},
    ),
    (UNKNOWN_VALUE, "the schedule", (job(schedule=UNKNOWN),), {"spec.schedule": UNKNOWN}),
)

THIRTY = config_map(
    {"pgbackrest.conf": "[global]\nrepo1-retention-full-type=time\nrepo1-retention-full=30\n"}
)
DAYS = "rules[0].expiration.days"
KEPT = cases(
    "backup-retention-agrees",
    (PASS, "locked for less", (THIRTY, bucket(), cycle(), lock(days=7)), {}),
    (PASS, "expired later", (THIRTY, bucket(), cycle({"expiration.days": 365})), {}),
    (
        PASS,
        "no backups",
        (THIRTY, bucket({"bucket": "a", "objectLockEnabled": False}, "logs"), lock(days=90)),
        {},
    ),
    (FAIL, "expired sooner", (THIRTY, bucket(), cycle({"expiration.days": 7})), {DAYS: 7}),
    (FAIL, "locked for longer", (THIRTY, bucket(), lock(days=90)), {"rule.defaultRetention.days": 90}),
    (
        FAIL,
        "by a variable",
        (
            job(
                edits={
                    "jobTemplate.spec.template.spec.containers[0].env": [
                        {"name": "RETENTION_DAYS", "value": "14"}
                    ]
                }
            ),
            bucket(),
            lock(days=30),
        ),
        {"rule.defaultRetention.days": 30},
    ),
    (
        FAIL,
        "by the operator's field",
        (resource(CLUSTER, {"spec": {"backup": {"retentionPolicy": "2w"}}}), bucket(), lock(days=30)),
        {"rule.defaultRetention.days": 30},
    ),
    (MISSING, "nothing promises", (bucket(), lock(days=90)), {}),
    (UNKNOWN_VALUE, "the days", (THIRTY, bucket(), cycle({"expiration.days": UNKNOWN})), {DAYS: UNKNOWN}),
)

CASES: tuple[Case, ...] = (*RUNBOOKS, *MONITORED, *CONTRACT, *KEPT)
