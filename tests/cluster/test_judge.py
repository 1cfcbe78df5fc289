"""The judge itself: what is wrong is refused, so that a silence means something."""

import copy
import time
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.node.client import Answer, Client, Manifest, Refused
from simulator.node.control_plane import ControlPlane
from tests.cluster.court import Repetition, Verdict, control, pod_of

pytestmark = pytest.mark.cluster

NAMESPACE = "judged"
PATIENCE_SECONDS = 10.0
POD: Manifest = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "pod", "namespace": NAMESPACE},
    "spec": {
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "main",
                "image": "main:1",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": True,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def client(control_plane: ControlPlane) -> Client:
    client = control_plane.client
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    answer = client.create(namespace)
    assert answer.accepted, answer.message
    control(client, answer.body)
    return client


@pytest.fixture
def pod() -> Manifest:
    return copy.deepcopy(POD)


def deployment(pod: Manifest) -> Manifest:
    labels = {"app": "judged"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "judged", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }


def config_map(name: str, **fields: Any) -> Manifest:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **fields}


def tried(client: Client, manifest: Manifest) -> Answer:
    return client.apply(manifest, manager="test", dry_run=True)


def test_what_is_right_is_accepted_and_not_kept(client: Client, pod: Manifest) -> None:
    answers = [client.create(pod, dry_run=True), tried(client, deployment(pod))]

    assert [answer.status for answer in answers] == [201, 201]
    assert [answer.warnings for answer in answers] == [(), ()]
    assert client.get(pod).status == 404


def test_a_privileged_pod_is_refused(client: Client, pod: Manifest) -> None:
    pod["spec"]["containers"][0]["securityContext"] |= {"privileged": True, "allowPrivilegeEscalation": True}

    answer = client.create(pod, dry_run=True)

    assert answer.status == 403
    assert 'violates PodSecurity "restricted:latest": privileged' in answer.message


def test_a_template_of_such_pods_is_warned_of(client: Client, pod: Manifest) -> None:
    pod["spec"]["hostNetwork"] = True

    verdict = Verdict(deployment(pod), tried(client, deployment(pod)))

    assert verdict.answer.accepted
    assert verdict.complaints == [
        f'Deployment {NAMESPACE}/judged: would violate PodSecurity "restricted:latest": '
        "host namespaces (hostNetwork=true)"
    ]


def test_a_pod_of_an_account_that_is_not_there_is_refused(client: Client, pod: Manifest) -> None:
    pod["spec"]["serviceAccountName"] = "nobody"

    assert "service account judged/nobody" in client.create(pod, dry_run=True).message


def test_a_pod_of_a_priority_that_is_not_there_is_refused(client: Client, pod: Manifest) -> None:
    pod["spec"]["priorityClassName"] = "utmost"

    assert "no PriorityClass with name utmost" in client.create(pod, dry_run=True).message


def test_a_pod_beyond_the_quota_is_refused(client: Client, pod: Manifest) -> None:
    metadata = {"name": "none", "namespace": NAMESPACE}
    scope = {
        "matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}
        ]
    }
    quota: Manifest = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata}
    control(client, client.create({**quota, "spec": {"hard": {"pods": "0"}, "scopeSelector": scope}}).body)
    pod["spec"]["priorityClassName"] = "system-node-critical"

    # Admission learns of quotas by a watch, a moment later.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := client.create(pod, dry_run=True)).accepted and time.monotonic() < deadline:
        pass

    assert answer.status == 403
    assert "exceeded quota: none" in answer.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"datum": {"a": "b"}}, ".datum: field not declared in schema"),
        ({"data": {"a": 1}}, "expected string"),
        ({"data": {"a/b": "c"}}, "a valid config key must consist of"),
    ],
    ids=["unknown field", "wrong type", "invalid value"],
)
def test_a_field_that_is_wrong_is_refused(client: Client, fields: Manifest, message: str) -> None:
    answer = tried(client, config_map("wrong", **fields))

    assert not answer.accepted
    assert message in answer.message


def test_a_field_of_somebody_else_is_not_taken(client: Client) -> None:
    client.apply(config_map("owned", data={"a": "theirs"}), manager="them")

    answer = client.apply(config_map("owned", data={"a": "ours"}), manager="us")

    assert answer.status == 409
    assert 'conflict with "them": .data.a' in answer.message


def test_a_kind_that_is_not_there_is_refused(client: Client) -> None:
    manifest = {"apiVersion": "example.test/v1", "kind": "Thing", "metadata": {"name": "thing"}}

    with pytest.raises(Refused, match=r"example\.test/v1 Thing, which the server does not know"):
        tried(client, manifest)


def test_what_is_rewritten_is_found(client: Client, pod: Manifest) -> None:
    pod["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "1000m", "memory": "1Gi"}}
    pod["spec"]["containers"][0]["args"] = []

    verdict = Verdict(pod, tried(client, pod))

    where = f"Pod {NAMESPACE}/pod: spec.containers[0]"
    assert verdict.rewritten == [
        f"{where}.resources.limits.cpu: sent '1000m', came back '1'",
        f"{where}.args: sent [], came back None",
    ]


def test_what_is_written_at_every_application_is_found(client: Client) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "restless", "namespace": NAMESPACE},
        "spec": {"podSelector": {"matchLabels": {}}, "policyTypes": ["Ingress"]},
    }
    first, second, third = (Verdict(policy, client.apply(policy, manager="us")) for _ in range(3))

    complaints = Repetition(first.answer.body, second, third).complaints

    assert f"NetworkPolicy {NAMESPACE}/restless: metadata.generation changed" in complaints


def test_a_secret_is_compared_and_not_shown(client: Client) -> None:
    metadata = {"name": "secret", "namespace": NAMESPACE}
    secret: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": {"a": "hush-hush"},
    }
    taken = Verdict(secret, client.apply(secret, manager="us"))
    other = Verdict({**secret, "stringData": {"a": "hush-more"}}, taken.answer)
    refused = Verdict(
        {**secret, "type": "hush-hush/"}, client.apply({**secret, "type": "hush-hush"}, manager="us")
    )

    assert taken.rewritten == []
    assert other.rewritten == [f"Secret {NAMESPACE}/secret: data.a"]
    assert refused.complaints
    assert "hush" not in repr(taken) + "".join(refused.complaints)


def pod_makers(pod: Manifest) -> Iterator[Manifest]:
    template = {"spec": pod["spec"]}
    metadata = {"name": "maker", "namespace": NAMESPACE}
    yield {"kind": "Job", "metadata": metadata, "spec": {"template": template}}
    yield {"kind": "CronJob", "metadata": metadata, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    claims = [{"metadata": {"name": "data"}}]
    yield {
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": {"template": template, "volumeClaimTemplates": claims},
    }


def test_the_pods_of_every_kind_of_maker_are_found(client: Client, pod: Manifest) -> None:
    pod["spec"]["restartPolicy"] = "Never"
    made = [pod_of(maker) for maker in pod_makers(pod)]

    assert [one and one["metadata"]["name"] for one in made] == [
        "job-maker",
        "cronjob-maker",
        "statefulset-maker",
    ]
    assert [client.create(one or {}, dry_run=True).status for one in made] == [201, 201, 201]
    assert pod_of(config_map("none")) is None
