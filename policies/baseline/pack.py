"""All policies of the baseline. A policy that is not in this list does not exist."""

from typing import Final

from baseline import (
    backup,
    cloudflare,
    containers,
    data,
    iam,
    images,
    ingress,
    labels,
    monitoring,
    namespaces,
    network,
    pods,
    rbac,
    s3,
    secrets,
    service_accounts,
    workloads,
)
from baseline.model import Policy

PACK_NAME: Final = "fixia-baseline"

SUBJECTS: Final[dict[str, tuple[Policy, ...]]] = {
    "Pods": pods.POLICIES,
    "Namespaces": namespaces.POLICIES,
    "Containers": containers.POLICIES,
    "Images": images.POLICIES,
    "Workloads": workloads.POLICIES,
    "Network": network.POLICIES,
    "Ingress": ingress.POLICIES,
    "Permissions": rbac.POLICIES,
    "Service accounts": service_accounts.POLICIES,
    "Credentials": secrets.POLICIES,
    "Data": data.POLICIES,
    "Buckets": s3.POLICIES,
    "Cloud identities": iam.POLICIES,
    "The edge": cloudflare.POLICIES,
    "Monitoring": monitoring.POLICIES,
    "Backups": backup.POLICIES,
    "Labels": labels.POLICIES,
}
"""The policies by what they are about."""

POLICIES: Final[tuple[Policy, ...]] = tuple(policy for policies in SUBJECTS.values() for policy in policies)
