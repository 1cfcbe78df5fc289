"""What accounts may ask of the Kubernetes API."""

from collections.abc import Collection, Iterator
from typing import Final

from pulumi_policy import Severity

from baseline.frameworks import cis_kubernetes
from baseline.manifests import Manifest
from baseline.model import UNKNOWN, Policy, Value, Violation
from baseline.subjects import ObjectPolicy, kinds
from baseline.tree import Node, Truth, every, must, some

_GROUP: Final = "rbac.authorization.k8s.io"
_ROLES: Final = kinds((_GROUP, "Role"), (_GROUP, "ClusterRole"))
_BINDINGS: Final = kinds((_GROUP, "RoleBinding"), (_GROUP, "ClusterRoleBinding"))

_READS: Final = ("get", "list", "watch")
_WRITES: Final = ("create", "update", "patch")

_EVERYBODY: Final = ("system:masters", "system:unauthenticated", "system:anonymous", "system:authenticated")

_ESCALATIONS: Final[tuple[tuple[Collection[str], Collection[str]], ...]] = (
    (("bind", "escalate"), ("roles", "clusterroles")),
    (("impersonate",), ("users", "groups", "serviceaccounts", "userextras", "uids")),
    (("create", "get"), ("pods/exec", "pods/attach", "pods/portforward", "nodes/proxy", "services/proxy")),
    (_WRITES, ("pods/ephemeralcontainers",)),
    (("create",), ("serviceaccounts/token", "persistentvolumes")),
    (_WRITES, ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")),
    (_WRITES, ("validatingadmissionpolicies", "mutatingadmissionpolicies")),
    (("approve", "update", "patch"), ("certificatesigningrequests/approval", "signers")),
    (_WRITES, ("rolebindings", "clusterrolebindings", "roles", "clusterroles")),
)
"""Verbs and resources that let their holder become somebody else, or take what is not theirs."""


def _holds(rule: Node, key: str, wanted: Collection[str]) -> Truth:
    values = [item.value for item in rule.at(key).items()]
    return some(UNKNOWN if value is UNKNOWN else value == "*" or value in wanted for value in values)


def _found(fact: Truth, value: Value) -> Value:
    return UNKNOWN if fact is UNKNOWN else value


def check_wildcards(role: Manifest) -> Iterator[Violation]:
    """Refuse asterisks among verbs, resources and groups."""
    for rule in role.root.at("rules").items():
        for key in ("apiGroups", "resources", "verbs", "nonResourceURLs"):
            for item in rule.at(key).items():
                yield from must(
                    item, lambda value: not (isinstance(value, str) and "*" in value), "names, no asterisk"
                )


def check_bindings(binding: Manifest) -> Iterator[Violation]:
    """Refuse the role of cluster administrators, and roles for everybody."""
    role = binding.root.at("roleRef", "name")
    yield from must(
        role, lambda value: value != "cluster-admin", "a role with the permissions that are needed"
    )
    for subject in binding.root.at("subjects").items():
        yield from must(subject.at("name"), lambda value: value not in _EVERYBODY, "an account of its own")


def check_secret_reads(role: Manifest) -> Iterator[Violation]:
    """Refuse reading Secrets, but for single ones by name."""
    for rule in role.root.at("rules").items():
        groups = [item.value for item in rule.at("apiGroups").items()]
        core = some(UNKNOWN if group is UNKNOWN else group in ("", "*") for group in groups)
        named = rule.at("resourceNames").value
        facts = [core, _holds(rule, "resources", ("secrets",)), _holds(rule, "verbs", _READS)]
        fact = every([*facts, UNKNOWN if named is UNKNOWN else not named])
        if fact is not False:
            resources = rule.at("resources")
            yield Violation(
                resources.path, _found(fact, resources.value), "without secrets, or with resourceNames"
            )


def check_escalation(role: Manifest) -> Iterator[Violation]:
    """Refuse what makes more of a permission than it says."""
    for rule in role.root.at("rules").items():
        for verbs, resources in _ESCALATIONS:
            fact = every([_names(rule, "verbs", verbs), _names(rule, "resources", resources)])
            if fact is not False:
                where = rule.at("verbs")
                valid = f"without {' and '.join(sorted(verbs))} on {', '.join(sorted(resources))}"
                yield Violation(where.path, _found(fact, where.value), valid)
                break


def _names(rule: Node, key: str, wanted: Collection[str]) -> Truth:
    """Tell whether a rule names one of these; asterisks are another policy's."""
    values = [item.value for item in rule.at(key).items()]
    return some(UNKNOWN if value is UNKNOWN else value in wanted for value in values)


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectPolicy(
        name="rbac-no-wildcards",
        description="Roles must name their verbs, resources and groups.",
        remedy="List what is needed instead of the asterisk.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.1.3"),
        anchors=("CKV_K8S_49", "CIS-5.1.3", "kube-linter:wildcard-in-rules", "C-0187"),
        selects=_ROLES,
        check=check_wildcards,
    ),
    ObjectPolicy(
        name="rbac-no-cluster-admin",
        description="Nobody may be bound to cluster-admin, and no role to everybody.",
        remedy="Bind a role that lists what is needed to a service account.",
        severity=Severity.CRITICAL,
        framework=cis_kubernetes("5.1.1"),
        anchors=("kube-linter:cluster-admin-role-binding", "CIS-5.1.1", "C-0035", "SOC2-CC6.2"),
        selects=_BINDINGS,
        check=check_bindings,
    ),
    ObjectPolicy(
        name="rbac-no-secret-reads",
        description="Roles must not let anybody get, list or watch Secrets.",
        remedy="Mount the Secret as a file, or name the single ones in resourceNames.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.1.2"),
        anchors=("CKV2_K8S_5", "CIS-5.1.2", "C-0015", "SOC2-CC6.1", "kube-linter:access-to-secrets"),
        selects=_ROLES,
        check=check_secret_reads,
    ),
    ObjectPolicy(
        name="rbac-no-escalation",
        description="Roles must not let their holder gain permissions or get into pods.",
        remedy="Remove the verb; let the program's own identity do what needs it.",
        severity=Severity.HIGH,
        framework=cis_kubernetes("5.1.8"),
        anchors=(
            *("CKV_K8S_155", "CKV_K8S_156", "CKV_K8S_157", "CKV_K8S_158"),
            *("CKV2_K8S_1", "CKV2_K8S_2", "CKV2_K8S_3"),
            *("CIS-5.1.8", "CIS-5.1.9", "CIS-5.1.10", "CIS-5.1.11", "CIS-5.1.12"),
        ),
        selects=_ROLES,
        check=check_escalation,
    ),
)
