"""One mutation of a real stack for each policy: it breaks exactly that promise.

`tests/policy/test_mutations.py` applies each to its base (`bases.py`) and asks the pack: that policy must fire,
and no other but those listed. The table is written into docs/reference/policy-mutations.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.policy.bases import TAGS
from tests.policy.cases.builders import Block
from tests.policy.changes import (
    API,
    APP,
    CRON,
    LABELS,
    POD,
    SECURITY,
    anybody,
    bucket,
    default_namespace,
    disabled,
    edit,
    gone,
    helm,
    longer,
    no_exporter,
    no_runbook,
    same_probe,
    shared_account,
    static_replicas,
    text,
    unprotected,
    unscraped_text,
    wide_policy,
    without_any_policy,
    without_default_deny,
    without_file,
)
from tests.policy.programs import Program


@dataclass(frozen=True)
class Mutation:
    """A change that breaks one promise.

    Attributes:
        policy: The policy that must fire.
        title: What the change is, as a sentence without a subject.
        change: Makes it.
        base: What it starts from, by its name in `bases.BASES`.
        also: Other policies that must fire too, as the same thing breaks several promises.
        config: What the stack's configuration of the pack has besides.
    """

    policy: str
    title: str
    change: Callable[[Program], Program]
    base: str = "production"
    also: tuple[str, ...] = ()
    config: Mapping[str, Block] | None = None


MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation(
        "no-privileged-containers",
        "makes the API's container privileged",
        edit(*API, {f"{SECURITY}.privileged": True}),
    ),
    Mutation(
        "no-host-namespaces",
        "puts the entrance into the node's network",
        edit("Deployment", "entrance-deployment", {f"{POD}.hostNetwork": True}),
    ),
    Mutation(
        "no-privilege-escalation",
        "lets the worker gain privileges",
        edit("Deployment", "worker-deployment", {f"{SECURITY}.allowPrivilegeEscalation": True}),
    ),
    Mutation(
        "run-as-non-root",
        "lets the cache's first container run as root",
        edit(
            "StatefulSet",
            "cache-stateful-set",
            {f"{POD}.initContainers[0].securityContext.runAsNonRoot": False},
        ),
    ),
    Mutation(
        "high-user-id",
        "runs the pool as a user of the node",
        edit("Deployment", "pool-deployment", {f"{POD}.securityContext.runAsUser": 999}),
    ),
    Mutation(
        "drop-all-capabilities",
        "gives the database a capability",
        edit("StatefulSet", "database-stateful-set", {f"{SECURITY}.capabilities.add": ["SYS_ADMIN"]}),
    ),
    Mutation(
        "seccomp-runtime-default",
        "unconfines the smoke test's Job",
        edit("Job", "release-smoke-job", {f"{POD}.securityContext.seccompProfile.type": "Unconfined"}),
    ),
    Mutation(
        "read-only-root-filesystem",
        "makes the root of a CronJob's container writable",
        edit(
            "CronJob",
            "maintenance-vacuum",
            {f"{CRON}.containers[0].securityContext.readOnlyRootFilesystem": False},
        ),
    ),
    Mutation(
        "restricted-volume-types",
        "mounts the node's runtime into the worker",
        edit(
            "Deployment",
            "worker-deployment",
            {f"{POD}.volumes[0]": {"name": "tmp", "hostPath": {"path": "/run/containerd"}}},
        ),
    ),
    Mutation(
        "no-host-ports",
        "takes a port of the node for the entrance",
        edit("Deployment", "entrance-deployment", {f"{APP}.ports[0].hostPort": 80}),
    ),
    Mutation(
        "namespace-pss-restricted",
        "lowers the data namespace to baseline",
        edit(
            "Namespace",
            "data-namespace",
            {"metadata.labels": {**TAGS, "pod-security.kubernetes.io/enforce": "baseline"}},
        ),
    ),
    Mutation("no-default-namespace", "adds a ConfigMap to the default namespace", default_namespace),
    Mutation(
        "default-deny-per-namespace", "removes the wall of the monitoring namespace", without_default_deny
    ),
    Mutation(
        "readiness-probe", "removes the API's readiness probe", edit(*API, {f"{APP}.readinessProbe": None})
    ),
    Mutation("liveness-probe", "asks the API's liveness as its readiness", same_probe),
    Mutation(
        "resource-requests-limits",
        "removes the realtime gateway's memory limit",
        edit("Deployment", "realtime-deployment", {f"{APP}.resources.limits": None}),
    ),
    Mutation(
        "image-digest-pinned",
        "names the web's image by its tag alone",
        edit("Deployment", "web-deployment", {f"{APP}.image": "ghcr.io/fixia/web:1.0.0"}),
        "production, images pinned",
    ),
    Mutation(
        "no-latest-tag",
        "asks for the newest web",
        edit("Deployment", "web-deployment", {f"{APP}.image": "ghcr.io/fixia/web:latest"}),
        also=("image-digest-pinned",),
    ),
    Mutation(
        "allowed-registries",
        "takes the web from elsewhere",
        edit("Deployment", "web-deployment", {f"{APP}.image": "registry.evil/web:1.0.0"}),
        also=("image-digest-pinned",),
    ),
    Mutation(
        "pull-secrets-for-private-registries",
        "declares the product's registry private",
        lambda program: program,
        config={"pull-secrets-for-private-registries": {"registries": ["ghcr.io/fixia"]}},
    ),
    Mutation(
        "min-replicas",
        "lets the API shrink to one pod",
        edit("HorizontalPodAutoscaler", "api-autoscaler", {"spec.minReplicas": 1}),
    ),
    Mutation(
        "pdb-per-workload",
        "removes the API's disruption budget",
        lambda program: program.drop("PodDisruptionBudget", "api-disruption-budget"),
    ),
    Mutation(
        "pdb-allows-eviction",
        "lets no pod of the web go",
        edit("PodDisruptionBudget", "web-disruption-budget", {"spec.maxUnavailable": 0}),
    ),
    Mutation(
        "topology-spread",
        "lets all pods of the API share a node",
        edit(*API, {f"{POD}.topologySpreadConstraints": None}),
    ),
    Mutation("hpa-valid", "sets the API's replicas beside its autoscaler", static_replicas),
    Mutation(
        "selectors-resolve",
        "points a Service at pods that are not there",
        edit("Service", "web-service", {"spec.selector": {"app.kubernetes.io/name": "wbe"}}),
    ),
    Mutation("pods-have-networkpolicy", "lets everybody reach the pool", without_any_policy),
    Mutation(
        "no-nodeport-loadbalancer",
        "opens a port of every node for the API",
        edit("Service", "api-service", {"spec.type": "NodePort"}),
    ),
    Mutation(
        "no-external-ips",
        "claims an address for the cache",
        edit("Service", "cache-service", {"spec.externalIPs": ["203.0.113.7"]}),
    ),
    Mutation(
        "ingress-tls",
        "removes TLS from the API's Ingress",
        edit("Ingress", "routes-api-ingress", {"spec.tls": None}),
    ),
    Mutation(
        "ingress-safe-routing",
        "lets the web answer for every host",
        edit(
            "Ingress",
            "routes-web-ingress",
            {"spec.defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}}},
        ),
    ),
    Mutation(
        "rbac-no-wildcards",
        "lets the entrance do everything with IngressClasses",
        edit("ClusterRole", "entrance-cluster-role", {"rules[0].verbs": ["*"]}),
    ),
    Mutation(
        "rbac-no-cluster-admin",
        "makes the entrance an administrator",
        edit("ClusterRoleBinding", "entrance-cluster-role-binding", {"roleRef.name": "cluster-admin"}),
    ),
    Mutation(
        "rbac-no-secret-reads",
        "lets the entrance read every Secret",
        edit("ClusterRole", "entrance-cluster-role", {"rules[1].resources": ["nodes", "secrets"]}),
    ),
    Mutation(
        "rbac-no-escalation",
        "lets the entrance into pods",
        edit(
            "ClusterRole",
            "entrance-cluster-role",
            {"rules[1]": {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}},
        ),
    ),
    Mutation(
        "sa-token-automount-off",
        "mounts the API's token into the worker",
        edit("Deployment", "worker-deployment", {f"{POD}.automountServiceAccountToken": True}),
    ),
    Mutation("dedicated-service-account", "runs the API as the default account", shared_account),
    Mutation(
        "no-plaintext-credentials",
        "puts a password into the worker's ConfigMap",
        edit("ConfigMap", "worker-config", {"data.SMTP_PASSWORD": "hunter22"}),
    ),
    Mutation(
        "secrets-as-files",
        "hands the API a Secret as a variable",
        edit(
            *API,
            {f"{APP}.env": [{"name": "JWT", "valueFrom": {"secretKeyRef": {"name": "api", "key": "jwt"}}}]},
        ),
    ),
    Mutation(
        "tls-between-tiers",
        "lets PostgreSQL do without TLS",
        text("ConfigMap", "database-config", "postgresql.conf", "ssl = on", "ssl = off"),
    ),
    Mutation(
        "connection-budget",
        "lets each pod of the pool open 90 connections",
        text("ConfigMap", "pool-config", "pgbouncer.ini", "max_db_connections=4", "max_db_connections=90"),
    ),
    Mutation("stateful-resources-protected", "takes the protection from the database's volume", unprotected),
    Mutation("exporter-for-every-store", "removes the cache's exporter", no_exporter),
    Mutation(
        "s3-public-access-block",
        "lets a bucket's policy be public",
        bucket("BucketPublicAccessBlock", {"blockPublicPolicy": False}),
    ),
    Mutation(
        "s3-versioning",
        "suspends versioning",
        bucket("BucketVersioning", {"versioningConfiguration.status": "Suspended"}),
    ),
    Mutation(
        "s3-sse-kms",
        "encrypts with a key of S3's own",
        bucket(
            "BucketServerSideEncryptionConfiguration",
            {"rules[0].applyServerSideEncryptionByDefault.sseAlgorithm": "AES256"},
        ),
    ),
    Mutation("s3-tls-only", "removes the bucket's policy", gone("BucketPolicy")),
    Mutation(
        "s3-lifecycle",
        "lets current backups expire after a year",
        bucket("BucketLifecycleConfiguration", {"rules[0].expiration.days": 365}),
    ),
    Mutation("s3-object-lock", "removes the lock", gone("BucketObjectLockConfiguration")),
    Mutation(
        "s3-access-logging",
        "removes the log of accesses",
        gone("BucketLogging"),
        # Nothing says any more that the other bucket takes logs, and needs less than one with backups.
        also=("s3-sse-kms", "s3-lifecycle", "s3-object-lock"),
    ),
    Mutation(
        "s3-bucket-owner-enforced",
        "lets writers own objects",
        bucket("BucketOwnershipControls", {"rule.objectOwnership": "ObjectWriter"}),
    ),
    Mutation(
        "s3-no-force-destroy",
        "lets the bucket go with its backups",
        edit("Bucket", "backups-repository", {"forceDestroy": True}),
    ),
    Mutation("iam-least-privilege", "allows every action on the bucket", wide_policy),
    Mutation("iam-trust-scoped", "lets anybody take the role", anybody),
    Mutation(
        "cf-ssl-strict",
        "trusts any certificate of the origin",
        edit("ZoneSetting", "edge-ssl", {"value": "full"}),
    ),
    Mutation(
        "cf-min-tls-1-2", "allows TLS 1.0", edit("ZoneSetting", "edge-min-tls-version", {"value": "1.0"})
    ),
    Mutation(
        "cf-https-hsts",
        "sends HSTS for five minutes",
        edit("ZoneSetting", "edge-security-header", {"value.strict_transport_security.max_age": 300}),
    ),
    Mutation("cf-waf-managed", "switches the managed rules off", disabled("Ruleset", "edge-managed")),
    Mutation("cf-rate-limit", "switches the rate limits off", disabled("Ruleset", "edge-rates")),
    Mutation("cf-records-proxied", "shows the origin's address", unscraped_text),
    Mutation("alerts-have-runbooks", "adds an alert that says nothing to do", no_runbook),
    Mutation(
        "workloads-monitored",
        "has Prometheus ask the workers no longer",
        without_file("prometheus-config", "scrape-worker.yaml"),
    ),
    Mutation(
        "backup-contract",
        "lets two backups run at once",
        edit("CronJob", "backups-backup", {"spec.concurrencyPolicy": "Allow"}),
    ),
    Mutation(
        "backup-contract",
        "removes the alerts on the last backup's age",
        without_file("prometheus-rules", "backups.yaml"),
    ),
    Mutation(
        "backup-retention-agrees",
        "locks backups for longer than the job keeps them",
        lambda program: longer(program),
    ),
    Mutation("required-labels-tags", "leaves out who pays", edit("Service", "api-service", LABELS)),
    Mutation("no-opaque-helm-release", "adds a chart as a release", helm),
)
