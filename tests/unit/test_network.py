"""Who may talk to whom: one declaration, two policies, nothing else."""

from typing import Any

import pulumi
import pulumi_kubernetes

from components.base import Identity
from components.network import INTERNET, Connections, ConnectionsArgs, Endpoint
from tests.recorder import Recording, record

IDENTITY = Identity(product="shop", environment="test", owner="team", cost_centre="shop")
API = Endpoint(name="api", namespace="shop-app", pods={"app": "api"}, port=3000)
POOL = Endpoint(name="pool", namespace="shop-data", pods={"app": "pool"}, port=6432)


def connected(*talks_to: Any) -> Recording:
    def program() -> None:
        provider = pulumi_kubernetes.Provider("cluster", context="test")
        Connections(
            "api",
            ConnectionsArgs(identity=IDENTITY, caller=API, talks_to=talks_to),
            pulumi.ResourceOptions(providers=[provider]),
        )

    return record(program)


def policies(recording: Recording) -> dict[str, Any]:
    return {r.name: r.inputs for r in recording.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")}


def test_a_connection_is_egress_on_the_caller_and_ingress_on_the_callee() -> None:
    made = policies(connected(POOL))
    assert set(made) == {"api-egress", "api-to-pool"}
    egress, ingress = made["api-egress"], made["api-to-pool"]
    assert egress["metadata"]["namespace"] == "shop-app"
    assert egress["spec"]["podSelector"]["matchLabels"] == {"app": "api"}
    assert egress["spec"]["policyTypes"] == ["Egress"]
    assert egress["spec"]["egress"] == [
        {
            "to": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop-data"}},
                    "podSelector": {"matchLabels": {"app": "pool"}},
                }
            ],
            "ports": [{"protocol": "TCP", "port": 6432}],
        }
    ]
    assert ingress["metadata"]["namespace"] == "shop-data"
    assert ingress["spec"]["podSelector"]["matchLabels"] == {"app": "pool"}
    assert ingress["spec"]["policyTypes"] == ["Ingress"]
    assert ingress["spec"]["ingress"] == [
        {
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop-app"}},
                    "podSelector": {"matchLabels": {"app": "api"}},
                }
            ],
            "ports": [{"protocol": "TCP", "port": 6432}],
        }
    ]


def test_the_internet_is_https_to_public_addresses_alone() -> None:
    made = policies(connected(INTERNET))
    assert set(made) == {"api-egress"}
    (rule,) = made["api-egress"]["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]
    blocks = {peer["ipBlock"]["cidr"]: peer["ipBlock"]["except"] for peer in rule["to"]}
    assert set(blocks) == {"0.0.0.0/0", "::/0"}
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(blocks["0.0.0.0/0"])


def test_who_calls_nobody_gets_no_policy_of_its_own() -> None:
    assert policies(connected()) == {}


def test_every_namespace_is_closed_in_both_directions_but_for_dns(recording: Recording) -> None:
    made = policies(recording)
    namespaces = recording.of_type("fixia:platform:Namespace")
    assert {n.name for n in namespaces} == {"app", "collector", "data", "ingress", "monitoring", "restore"}
    for namespace in namespaces:
        deny = made[f"{namespace.name}-default-deny"]["spec"]
        assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        (rule,) = made[f"{namespace.name}-dns"]["spec"]["egress"]
        assert rule["ports"] == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
