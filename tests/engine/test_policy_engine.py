"""The policy pack as the real engine runs it: started as its own process, over simulated providers."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.session import Session

pytestmark = pytest.mark.engine

PACK = Path(__file__).parents[2] / "policies"

HARDENED = """
    import pulumi_kubernetes as kubernetes
    import pulumi_random as random

    later = random.RandomInteger("later", min=1, max=9).result
    owned = {"owner": "team", "environment": "dev", "cost-centre": "shop"}
    labels = {**owned, "app": "web"}
    enforce = {**owned, "pod-security.kubernetes.io/enforce": "restricted"}
    kubernetes.core.v1.Namespace("shop", metadata={"name": "shop", "labels": enforce})
    here = {"name": "web", "namespace": "shop", "labels": owned}
    kubernetes.core.v1.ServiceAccount("web", metadata=here, automount_service_account_token=False)
    kubernetes.policy.v1.PodDisruptionBudget(
        "web", metadata=here, spec={"max_unavailable": 1, "selector": {"match_labels": {"app": "web"}}}
    )
    kubernetes.networking.v1.NetworkPolicy(
        "deny",
        metadata={"name": "deny", "namespace": "shop", "labels": owned},
        spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
    )
    container = {
        "name": "web",
        "image": "ghcr.io/shop/web:1@sha256:REPLACE_DIGEST",
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "readiness_probe": {"http_get": {"path": "/ready", "port": 8080}},
        "liveness_probe": {"http_get": {"path": "/alive", "port": 8080}},
        "security_context": {
            "allow_privilege_escalation": False,
            "capabilities": {"drop": ["ALL"]},
            "read_only_root_filesystem": True,
            "run_as_user": REPLACE_USER,
        },
    }
    spread = {"max_skew": 1, "topology_key": "kubernetes.io/hostname", "when_unsatisfiable": "ScheduleAnyway"}
    pod = {
        "service_account_name": "web",
        "automount_service_account_token": False,
        "topology_spread_constraints": [{**spread, "label_selector": {"match_labels": {"app": "web"}}}],
        "containers": [container],
        "security_context": {"run_as_non_root": True, "seccomp_profile": {"type": "RuntimeDefault"}},
    }
    kubernetes.apps.v1.Deployment(
        "web",
        metadata=here,
        spec={
            "replicas": 2,
            "selector": {"match_labels": {"app": "web"}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    )
""".replace("REPLACE_DIGEST", "0" * 64)

CARELESS = """
    import pulumi_kubernetes as kubernetes

    kubernetes.core.v1.Namespace("shop", metadata={"name": "shop"})
    container = {
        "name": "web",
        "image": "web",
        "ports": [{"container_port": 80, "host_port": 80}],
        "security_context": {"privileged": True},
    }
    pod = {
        "containers": [container],
        "host_network": True,
        "volumes": [{"name": "node", "host_path": {"path": "/"}}],
    }
    kubernetes.apps.v1.Deployment(
        "web",
        metadata={"name": "web", "namespace": "default"},
        spec={
            "selector": {"match_labels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        },
    )
"""

# One line of the engine's report: the level, the policy and the resource.
REPORTED = re.compile(r"- \[(\w+)\] \[severity: \w+\]\s+([\w-]+)\s+\(\S+: (\S+)\)")


def preview(session: Session, program: Path) -> subprocess.CompletedProcess[str]:
    session.init("dev", program)
    arguments = ("preview", "--stack", "dev", "--policy-pack", str(PACK))
    return session.pulumi(*arguments, program=program, capture=True, timeout=180)


def test_hardened_program_passes(session: Session, write_program: Callable[..., Path]) -> None:
    done = preview(session, write_program(HARDENED.replace("REPLACE_USER", "10001")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✅ fixia-baseline@v" in done.stdout
    assert REPORTED.findall(done.stdout) == []


def test_unknown_value_is_said_and_does_not_fail(
    session: Session, write_program: Callable[..., Path]
) -> None:
    done = preview(session, write_program(HARDENED.replace("REPLACE_USER", "later")))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(REPORTED.findall(done.stdout)) == [
        ("advisory", "high-user-id", "web"),
        ("advisory", "run-as-non-root", "web"),
    ]
    path = "Deployment/web: spec.template.spec.containers[0].securityContext.runAsUser"
    assert f"undecided until the update: {path}" in done.stdout


def test_careless_program_breaks_every_policy_of_pods_and_namespaces(
    session: Session, write_program: Callable[..., Path]
) -> None:
    done = preview(session, write_program(CARELESS))
    assert done.returncode != 0
    # In default there are pods but no network policy, nor is there one in the namespace created.
    expected = {
        ("mandatory", "default-deny-per-namespace", "shop"),
        ("mandatory", "default-deny-per-namespace", "web"),
        ("mandatory", "drop-all-capabilities", "web"),
        ("mandatory", "namespace-pss-restricted", "shop"),
        ("mandatory", "no-default-namespace", "web"),
        ("mandatory", "no-host-namespaces", "web"),
        ("mandatory", "no-host-ports", "web"),
        ("mandatory", "no-privilege-escalation", "web"),
        ("mandatory", "no-privileged-containers", "web"),
        ("mandatory", "read-only-root-filesystem", "web"),
        ("mandatory", "restricted-volume-types", "web"),
        ("mandatory", "run-as-non-root", "web"),
        ("mandatory", "seccomp-runtime-default", "web"),
    }
    assert expected - set(REPORTED.findall(done.stdout)) == set()
    assert (
        "Deployment/web: spec.template.spec.containers[0].securityContext.privileged is true; "
        "valid: absent or false."
    ) in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
