"""The packet filters that network policies become."""

from typing import Any

from simulator.node.walls import CHAIN, rules
from simulator.reachability.parties import Pod, read_pods
from simulator.reachability.policy import Policy


def pod(name: str, address: str, port: int = 80, **labels: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": [{"name": "web", "containerPort": port}]}]},
        "status": {"podIPs": [{"ip": address}]},
    }


def pods(*manifests: dict[str, Any]) -> list[Pod]:
    return read_pods([{"kind": "Namespace", "metadata": {"name": "shop"}}, *manifests])


def policy(**spec: Any) -> Policy:
    return Policy.read(
        {"kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}, "spec": spec}
    )


API = pod("api", "10.0.0.1", app="api")
DATA = pod("data", "10.0.0.2", 5432, app="data")


def lines_of(found: str, part: str) -> list[str]:
    return [line for line in found.splitlines() if part in line]


def test_without_policies_nothing_is_dropped() -> None:
    text, chains = rules([], pods(API, DATA))

    assert chains == set()
    assert "DROP" not in text
    assert f":{CHAIN} - [0:0]" in text


def test_a_pod_that_is_isolated_takes_nothing() -> None:
    text, (chain,) = rules([policy(podSelector={"matchLabels": {"app": "data"}})], pods(API, DATA))

    assert lines_of(text, f"-A {chain}") == [f"-A {chain} -j DROP"]
    assert lines_of(text, f"-j {chain}") == [f"-A {CHAIN} -d 10.0.0.2 -j {chain}"]


def test_a_rule_lets_its_peers_through_to_its_ports() -> None:
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "api"}}}], "ports": [{"port": "web"}]}
    text, (chain,) = rules(
        [policy(podSelector={"matchLabels": {"app": "data"}}, ingress=[rule])], pods(API, DATA)
    )

    assert lines_of(text, f"-A {chain}") == [
        f"-A {chain} -s 10.0.0.1/32 -p tcp --dport 5432 -j RETURN",
        f"-A {chain} -j DROP",
    ]


def test_a_port_of_a_callee_has_the_callees_number() -> None:
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "data"}}}], "ports": [{"port": "web"}]}
    text, (chain,) = rules(
        [policy(podSelector={"matchLabels": {"app": "api"}}, policyTypes=["Egress"], egress=[rule])],
        pods(API, DATA),
    )

    assert f"-A {chain} -d 10.0.0.2/32 -p tcp --dport 5432 -j RETURN" in text
    assert f"-A {CHAIN} -s 10.0.0.1 -j {chain}" in text


def test_a_block_is_let_through_without_what_is_taken_out() -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9"]}}]}
    text, (chain,) = rules([policy(podSelector={}, policyTypes=["Egress"], egress=[rule])], pods(API))

    assert lines_of(text, f"-A {chain}") == [
        f"-A {chain} -d 10.128.0.0/9 -j RETURN",
        f"-A {chain} -j DROP",
    ]


def test_a_rule_that_names_nobody_lets_everybody_through() -> None:
    text, (chain,) = rules([policy(podSelector={}, ingress=[{}])], pods(API))

    assert f"-A {chain} -j RETURN" in text.splitlines()


def test_a_range_of_ports_is_one_option() -> None:
    rule = {"ports": [{"port": 100, "endPort": 200, "protocol": "UDP"}]}
    text, (chain,) = rules([policy(podSelector={}, ingress=[rule])], pods(API))

    assert f"-A {chain} -p udp --dport 100:200 -j RETURN" in text


def test_the_chains_of_pods_that_are_gone_go() -> None:
    deny = policy(podSelector={})
    _, before = rules([deny], pods(API, DATA))
    text, after = rules([deny], pods(API), before)
    (gone,) = before - after

    assert f":{gone} - [0:0]" in text
    assert f"-X {gone}" in text


def test_two_pods_that_had_one_address_have_two_chains() -> None:
    deny = policy(podSelector={})
    _, first = rules([deny], pods(API))
    _, second = rules([deny], pods(pod("other", "10.0.0.1")))

    assert first != second
