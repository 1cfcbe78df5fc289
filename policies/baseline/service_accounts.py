"""Service accounts: each workload has its own, and no token that it does not ask for."""

from collections.abc import Iterator, Sequence
from typing import Final

from pulumi_policy import Severity

from baseline.frameworks import cis_kubernetes
from baseline.manifests import Manifest, has_pods, has_pods_of, is_kind
from baseline.model import UNKNOWN, Policy, Violation
from baseline.selectors import Names, namespace_of
from baseline.subjects import Item, ObjectPolicy, ObjectsPolicy, each
from baseline.tree import Node, must_be

_ACCOUNT: Final = ("core", "ServiceAccount")


def check_automount(manifest: Manifest) -> Iterator[Violation]:
    """Require an explicit false of accounts and of pods: the default is true."""
    valid = (None, False) if manifest.kind.patch else (False,)
    if manifest.kind.is_any(_ACCOUNT):
        yield from must_be(manifest.root.at("automountServiceAccountToken"), *valid)
    for pod in manifest.pods():
        yield from must_be(pod.spec.at("automountServiceAccountToken"), *valid)


def _account(spec: Node) -> Node:
    deprecated = spec.at("serviceAccount")
    name = spec.at("serviceAccountName")
    return deprecated if name.value is None and deprecated.value is not None else name


def check_dedicated(items: Sequence[Item]) -> Iterator[Violation]:
    """Require a service account by name, that the stack makes."""
    accounts = Names(one for one in items if one.manifest.kind.is_any(_ACCOUNT))

    def check(item: Item) -> Iterator[Violation]:
        for pod in item.manifest.pods():
            if item.manifest.kind.patch or item.manifest.kind.group == "postgresql.cnpg.io":
                continue  # A patch leaves it as it is; the operator makes an account for each cluster.
            name = _account(pod.spec)
            known = accounts.have(namespace_of(item), name.value)
            if name.value in (None, "", "default"):
                known = False
            if known is not True:
                found = UNKNOWN if known is UNKNOWN else name.value
                yield Violation(
                    name.path, found, "the name of a ServiceAccount of the stack, in this namespace"
                )

    yield from each(items, check)


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectPolicy(
        name="sa-token-automount-off",
        description="Pods and service accounts must not mount the API's token by themselves.",
        remedy="Set automountServiceAccountToken to false; who needs a token mounts a projected one.",
        severity=Severity.MEDIUM,
        framework=cis_kubernetes("5.1.6"),
        anchors=("CKV_K8S_38", "CIS-5.1.6", "C-0034"),
        selects=lambda kind: has_pods_of(kind) or kind.is_any(_ACCOUNT),
        check=check_automount,
    ),
    ObjectsPolicy(
        name="dedicated-service-account",
        description="Pods must run as a service account that the stack makes for them.",
        remedy="Add a ServiceAccount beside the workload and name it in serviceAccountName.",
        severity=Severity.MEDIUM,
        framework=cis_kubernetes("5.1.5"),
        anchors=("CKV_K8S_41", "CKV_K8S_42", "CIS-5.1.5", "kube-linter:default-service-account"),
        selects=lambda token: has_pods(token) or is_kind(token, _ACCOUNT),
        check=check_dedicated,
    ),
)
