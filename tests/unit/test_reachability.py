"""The evaluator of network policies against the API's documentation, case by case and at random.

https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from simulator.reachability.matrix import Cluster, Flow, matrix
from simulator.reachability.page import page
from simulator.reachability.parties import External

Object = dict[str, Any]
NAME = "kubernetes.io/metadata.name"
EVERYWHERE: Object = {"namespaceSelector": {}}
EXTERNAL = (
    External(name="public", address="198.51.100.7", port=8080),
    External(name="private", address="10.0.0.7", port=8080),
    External(name="six", address="2001:db8::7", port=8080),
)


def namespace(name: str, **labels: str) -> Object:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(name: str, /, ports: Sequence[Object] = ({"containerPort": 8080},), **labels: str) -> Object:
    """A pod from `<namespace>/<name>`."""
    where, _, called = name.partition("/")
    return {
        "kind": "Pod",
        "metadata": {"name": called, "namespace": where, "labels": labels},
        "spec": {"containers": [{"name": "main", "ports": list(ports)}]},
    }


def policy(where: str, **spec: Any) -> Object:
    return {"kind": "NetworkPolicy", "metadata": {"name": "it", "namespace": where}, "spec": spec}


def expression(key: str, operator: str, *values: str) -> Object:
    return {"key": key, "operator": operator, **({"values": list(values)} if values else {})}


def expressions(*each: Object) -> Object:
    return {"matchExpressions": list(each)}


def block(cidr: str, *holes: str) -> Object:
    return {"ipBlock": {"cidr": cidr, **({"except": list(holes)} if holes else {})}}


WORLD = [
    namespace("data", team="store"),
    # The label of its name is the API server's: what an object claims is overwritten.
    {
        **namespace("shop", team="front"),
        "metadata": {"name": "shop", "labels": {"team": "front", NAME: "data"}},
    },
    pod("data/subject", app="subject"),
    pod("data/near", app="near", env="prod"),
    {**pod("shop/far", app="far", env="prod"), "status": {"podIPs": [{"ip": "10.1.0.5"}]}},
    pod("bare/stray"),
]
PODS = "near far stray"
ALL = f"{PODS} public private six"

PEERS: list[tuple[str, list[Object] | None, str]] = [
    ("no list is everything", None, ALL),
    ("an empty list is everything", [], ALL),
    ("an empty podSelector is the own namespace", [{"podSelector": {}}], "near"),
    ("a label", [{"podSelector": {"matchLabels": {"app": "near"}}}], "near"),
    ("pods of other namespaces need a namespaceSelector", [{"podSelector": {"matchLabels": {"app": "far"}}}], ""),
    ("an empty namespaceSelector is every pod, and no address", [EVERYWHERE], PODS),
    ("a namespace's label", [{"namespaceSelector": {"matchLabels": {"team": "front"}}}], "far"),
    ("the automatic name", [{"namespaceSelector": {"matchLabels": {NAME: "shop"}}}], "far"),
    ("the automatic name without an object", [{"namespaceSelector": {"matchLabels": {NAME: "bare"}}}], "stray"),
    ("the automatic name can't be claimed", [{"namespaceSelector": {"matchLabels": {NAME: "data"}}}], "near"),
    ("both selectors are AND", [{**EVERYWHERE, "podSelector": {"matchLabels": {"env": "prod"}}}], "near far"),
    ("both selectors, one of which fails", [
        {"namespaceSelector": {"matchLabels": {"team": "front"}}, "podSelector": {"matchLabels": {"app": "near"}}},
    ], ""),
    ("two peers are OR", [
        {"namespaceSelector": {"matchLabels": {"team": "front"}}}, {"podSelector": {"matchLabels": {"app": "near"}}},
    ], "near far"),
    ("null is not there", [{**EVERYWHERE, "podSelector": None, "ipBlock": None}], PODS),
    ("two labels are AND", [{"podSelector": {"matchLabels": {"app": "near", "env": "test"}}}], ""),
    ("In", [{**EVERYWHERE, "podSelector": expressions(expression("app", "In", "near", "far"))}], "near far"),
    ("In, of a missing label", [{**EVERYWHERE, "podSelector": expressions(expression("no", "In", "x"))}], ""),
    ("NotIn, which a missing label is", [
        {**EVERYWHERE, "podSelector": expressions(expression("app", "NotIn", "near"))},
    ], "far stray"),
    ("Exists", [{**EVERYWHERE, "podSelector": expressions(expression("env", "Exists"))}], "near far"),
    ("DoesNotExist", [{**EVERYWHERE, "podSelector": expressions(expression("env", "DoesNotExist"))}], "stray"),
    ("expressions are AND", [{**EVERYWHERE, "podSelector": expressions(
        expression("env", "Exists"), expression("app", "NotIn", "far"),
    )}], "near"),
    ("labels and expressions are AND", [{**EVERYWHERE, "podSelector": {
        "matchLabels": {"env": "prod"}, **expressions(expression("app", "In", "far", "stray")),
    }}], "far"),
    ("expressions on namespaces", [{"namespaceSelector": expressions(expression(NAME, "NotIn", "data"))}], "far stray"),
    ("a range", [block("198.51.100.0/24")], "public"),
    ("a range whose address has host bits", [block("198.51.100.99/24")], "public"),
    ("one address", [block("198.51.100.7/32")], "public"),
    ("a range of a pod whose address is known", [block("10.1.0.0/16")], "far"),
    ("every IPv4 address, pods' among them", [block("0.0.0.0/0")], f"{PODS} public private"),
    ("a hole", [block("0.0.0.0/0", "10.0.0.0/8")], "public"),
    ("two holes", [block("0.0.0.0/0", "10.0.0.0/8", "198.51.100.0/28")], ""),
    ("every IPv6 address", [block("::/0")], "near stray six"),
    ("a hole in IPv6", [block("::/0", "fc00::/7")], "six"),
    ("a hole in one peer is none in another", [block("0.0.0.0/0", "10.0.0.0/8"), block("10.0.0.0/24")], "public private"),
    ("a range or a selector", [block("2001:db8::/64"), {"podSelector": {}}], "near six"),
]  # fmt: skip


@pytest.mark.parametrize(("peers", "expected"), [case[1:] for case in PEERS], ids=[case[0] for case in PEERS])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_peers(direction: str, peers: list[Object] | None, expected: str) -> None:
    rule = {} if peers is None else {"from" if direction == "ingress" else "to": peers}
    spec = {"podSelector": {"matchLabels": {"app": "subject"}}, direction: [rule]}
    flows = matrix([*WORLD, policy("data", policyTypes=[direction.capitalize()], **spec)], EXTERNAL, ())
    subject = "data/pod/subject"
    if direction == "ingress":
        found = {flow.source for flow in flows if flow.destination == subject}
    else:
        found = {flow.destination for flow in flows if flow.source == subject}
    assert {name.rpartition("/")[2] for name in found} == set(expected.split())


LISTENING = [
    {"name": "web", "containerPort": 8080},
    {"name": "metrics", "containerPort": 8081, "protocol": "TCP"},
    {"name": "web-udp", "containerPort": 8080, "protocol": "UDP"},
    {"name": "web-sctp", "containerPort": 8080, "protocol": "SCTP"},
]
PORTS: list[tuple[str, list[Object] | None, str]] = [
    ("no list is all", None, "TCP/8080 TCP/8081 UDP/8080 SCTP/8080"),
    ("an empty list is all", [], "TCP/8080 TCP/8081 UDP/8080 SCTP/8080"),
    ("an empty port is all of TCP", [{}], "TCP/8080 TCP/8081"),
    ("a protocol alone is all of it", [{"protocol": "UDP"}], "UDP/8080"),
    ("a number is TCP", [{"port": 8080}], "TCP/8080"),
    ("a number as recorded", [{"port": 8080.0}], "TCP/8080"),
    ("a number and a protocol", [{"port": 8080, "protocol": "SCTP"}], "SCTP/8080"),
    ("another number", [{"port": 8082}], ""),
    ("a name", [{"port": "metrics"}], "TCP/8081"),
    ("a name of another protocol", [{"port": "web-udp"}], ""),
    ("a name with its protocol", [{"port": "web-udp", "protocol": "UDP"}], "UDP/8080"),
    ("a name that nobody has", [{"port": "admin"}], ""),
    ("a range", [{"port": 8000, "endPort": 8080}], "TCP/8080"),
    ("a range, both ends included", [{"port": 8080, "endPort": 8081}], "TCP/8080 TCP/8081"),
    ("a range of one", [{"port": 8081, "endPort": 8081}], "TCP/8081"),
    ("a range of UDP", [{"port": 1, "endPort": 65535, "protocol": "UDP"}], "UDP/8080"),
    ("several are OR", [{"port": 8081}, {"port": 8080, "protocol": "UDP"}], "TCP/8081 UDP/8080"),
]  # fmt: skip


@pytest.mark.parametrize(("ports", "expected"), [case[1:] for case in PORTS], ids=[case[0] for case in PORTS])
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_ports(direction: str, ports: list[Object] | None, expected: str) -> None:
    pods = [pod("data/subject", LISTENING, app="subject"), pod("data/other", LISTENING)]
    rule = {} if ports is None else {"ports": ports}
    spec = {"podSelector": {"matchLabels": {"app": "subject"}}, direction: [rule]}
    flows = matrix([*pods, policy("data", policyTypes=[direction.capitalize()], **spec)], (), ())
    destination = "data/pod/subject" if direction == "ingress" else "data/pod/other"
    found = {f"{flow.protocol}/{flow.port}" for flow in flows if flow.destination == destination}
    assert found == set(expected.split())


NOBODY: Object = {"podSelector": {"matchLabels": {"app": "nobody"}}}
SPECS: list[tuple[str, Object, tuple[bool, bool]]] = [
    ("nothing but pods: ingress is isolated", {"podSelector": {}}, (False, True)),
    ("no podSelector is every pod", {}, (False, True)),
    ("an empty list denies", {"podSelector": {}, "ingress": []}, (False, True)),
    ("an empty rule lets all through", {"podSelector": {}, "ingress": [{}]}, (True, True)),
    ("policyTypes empty is policyTypes missing", {"podSelector": {}, "policyTypes": []}, (False, True)),
    ("an egress rule brings Egress, and Ingress stays", {"podSelector": {}, "egress": [{}]}, (False, True)),
    ("an egress rule isolates", {"podSelector": {}, "egress": [{"to": [NOBODY]}]}, (False, False)),
    ("no egress rule, no Egress", {"podSelector": {}, "egress": []}, (False, True)),
    ("Ingress denied", {"podSelector": {}, "policyTypes": ["Ingress"]}, (False, True)),
    ("Egress denied", {"podSelector": {}, "policyTypes": ["Egress"]}, (True, False)),
    ("both denied", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}, (False, False)),
    ("rules of a type not listed are ignored",
     {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{"to": [NOBODY]}]}, (False, True)),
    ("Egress alone, ingress rules ignored",
     {"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{"from": [NOBODY]}]}, (True, False)),
    ("rules are OR", {"podSelector": {}, "ingress": [{"from": [NOBODY]}, {}]}, (True, True)),
    ("a rule is peers AND ports",
     {"podSelector": {}, "ingress": [{"from": [EVERYWHERE], "ports": [{"port": 1}]}]}, (False, True)),
    ("selected by a label", {"podSelector": {"matchLabels": {"app": "subject"}}}, (False, True)),
    ("selected by an expression", {"podSelector": expressions(expression("app", "Exists"))}, (False, True)),
    ("another pod selected", NOBODY, (True, True)),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "open_"), [case[1:] for case in SPECS], ids=[case[0] for case in SPECS])
def test_isolation_is_of_each_direction(spec: Object, open_: tuple[bool, bool]) -> None:
    flows = matrix([*WORLD, policy("data", **spec)], EXTERNAL, ())
    into = Flow("shop/pod/far", "data/pod/subject", "TCP", 8080) in flows
    out_of = Flow("data/pod/subject", "shop/pod/far", "TCP", 8080) in flows
    assert (into, out_of) == open_


def test_a_policy_of_another_namespace_says_nothing() -> None:
    closed = policy("shop", policyTypes=["Ingress", "Egress"])
    assert Flow("data/pod/near", "data/pod/subject", "TCP", 8080) in matrix([*WORLD, closed], (), ())


@pytest.mark.parametrize("egress", [True, False])
@pytest.mark.parametrize("ingress", [True, False])
def test_a_connection_needs_both_ends(egress: bool, ingress: bool) -> None:
    objects = [
        *WORLD,
        policy("shop", policyTypes=["Egress"], egress=[{}] if egress else []),
        policy("data", policyTypes=["Ingress"], ingress=[{}] if ingress else []),
    ]
    wanted = Flow("shop/pod/far", "data/pod/subject", "TCP", 8080)
    assert (wanted in matrix(objects, (), ())) == (egress and ingress)


def test_policies_add_up() -> None:
    near = {"from": [{"podSelector": {"matchLabels": {"app": "near"}}}]}
    far = {"from": [{"namespaceSelector": {"matchLabels": {NAME: "shop"}}}]}
    flows = matrix([*WORLD, policy("data", ingress=[near]), policy("data", ingress=[far])], EXTERNAL, ())
    callers = {flow.source for flow in flows if flow.destination == "data/pod/subject"}
    assert callers == {"data/pod/near", "shop/pod/far"}


def test_a_named_port_is_the_destinations() -> None:
    objects = [
        pod("a/caller", [{"name": "web", "containerPort": 1000}]),
        pod("b/one", [{"name": "web", "containerPort": 2000}, {"name": "api", "containerPort": 1000}]),
        pod("b/two", [{"name": "web", "containerPort": 3000}]),
        policy("a", policyTypes=["Egress"], egress=[{"ports": [{"port": "web"}]}]),
    ]
    outside = (External(name="outside", address="198.51.100.7", port=1000),)
    flows = {
        (flow.destination, flow.port)
        for flow in matrix(objects, outside, ())
        if flow.source == "a/pod/caller"
    }
    assert flows == {("b/pod/one", 2000), ("b/pod/two", 3000)}


def test_two_names_of_one_port_are_one_connection() -> None:
    objects = [
        pod("a/caller", ()),
        pod("b/callee", [{"name": "web", "containerPort": 80}, {"name": "http", "containerPort": 80}]),
        policy("a", policyTypes=["Egress"], egress=[{"ports": [{"port": "web"}]}]),
        policy("b", ingress=[{"ports": [{"port": "http"}]}]),
    ]
    assert matrix(objects, (), ()) == {Flow("a/pod/caller", "b/pod/callee", "TCP", 80)}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"])
def test_every_kind_that_makes_pods_is_read(kind: str) -> None:
    made = pod("ignored/ignored", app="x")
    template = {"metadata": {"labels": {"app": "x"}}, "spec": made["spec"]}
    spec = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    objects = [{"kind": kind, "metadata": {"name": "it"}, "spec": spec}]
    name = f"default/{kind.lower()}/it"
    # Its pods reach each other, until a policy of the namespace that it doesn't name selects them.
    assert matrix(objects, (), ()) == {Flow(name, name, "TCP", 8080)}
    assert matrix([*objects, policy("default", podSelector={"matchLabels": {"app": "x"}})], (), ()) == set()


def test_containers_that_ended_before_do_not_listen() -> None:
    callee = pod("a/callee", ())
    callee["spec"]["initContainers"] = [
        {"name": "migrate", "ports": [{"containerPort": 1}]},
        {"name": "proxy", "restartPolicy": "Always", "ports": [{"containerPort": 2}]},
    ]
    assert matrix([callee, pod("a/caller", ())], (), ()) == {Flow("a/pod/caller", "a/pod/callee", "TCP", 2)}


def test_pods_on_their_nodes_network_are_undecided() -> None:
    hosted = pod("a/hosted")
    hosted["spec"]["hostNetwork"] = True
    cluster = Cluster.read([hosted, pod("a/other")], external=EXTERNAL, implied=())
    assert cluster.undecided == ("a/pod/hosted",)
    assert "a/pod/hosted" not in {end for flow in cluster.flows() for end in (flow.source, flow.destination)}
    assert "Undecided" in page({"test": cluster})


def test_the_clusters_dns_is_there_without_being_made() -> None:
    flows = matrix([pod("a/caller", ())], ())
    assert {(flow.protocol, flow.port) for flow in flows} == {("UDP", 53), ("TCP", 53)}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"ingress": [{"from": [{}]}]}, "needs a selector or an ipBlock"),
        ({"ingress": [{"from": [{**block("10.0.0.0/8"), "podSelector": {}}]}]}, "has no selectors"),
        ({"ingress": [{"from": [block("10.0.0.0/8", "11.0.0.0/16")]}]}, "is not a part of"),
        ({"ingress": [{"from": [block("10.0.0.0/8", "10.0.0.0/8")]}]}, "is not a part of"),
        ({"ingress": [{"from": [block("10.0.0.0/8", "fd00::/64")]}]}, "is not a part of"),
        ({"ingress": [{"from": [block("10.0.0.1")]}]}, "not a range"),
        ({"ingress": [{"ports": [{"endPort": 80}]}]}, "needs a port"),
        ({"ingress": [{"ports": [{"port": "web", "endPort": 80}]}]}, "needs a port"),
        ({"ingress": [{"ports": [{"port": 81, "endPort": 80}]}]}, "not above it"),
        ({"policyTypes": ["ingress"]}, "there are Ingress and Egress"),
        ({"podSelector": expressions(expression("app", "Like", "x"))}, "is no operator"),
        ({"podSelector": expressions(expression("app", "In"))}, "with 0 values"),
        ({"podSelector": expressions(expression("app", "Exists", "x"))}, "with 1 values"),
    ],
)
def test_what_the_api_server_refuses_is_refused(spec: Object, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        matrix([policy("data", **spec)])
    assert "NetworkPolicy data/it: " in str(caught.value)


def invented(chance: random.Random) -> tuple[list[Object], list[Object]]:
    """A random cluster: its pods and namespaces, and its policies."""

    def selector() -> Object:
        return chance.choice(
            [{}, {"matchLabels": {"app": chance.choice("xyz")}}, expressions(expression("env", "Exists"))]
        )

    def peer() -> Object:
        one = chance.choice(
            [{"podSelector": selector()}, {"namespaceSelector": selector()}, block("0.0.0.0/0")]
        )
        return (
            {**one, "podSelector": selector()}
            if "namespaceSelector" in one and chance.random() < 0.5
            else one
        )

    def rule(key: str) -> Object:
        ports = [{"port": chance.choice([8080, 8081, "web"])} for _ in range(chance.randrange(2))]
        return {key: [peer() for _ in range(chance.randrange(3))], "ports": ports}

    def some_policy() -> Object:
        types = chance.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
        ingress, egress = ([rule(key) for _ in range(chance.randrange(3))] for key in ("from", "to"))
        return policy(
            chance.choice("ab"), podSelector=selector(), policyTypes=types, ingress=ingress, egress=egress
        )

    places = [namespace("a", app="x", env="e"), namespace("b", app="y")]
    pods = [
        pod(
            f"{chance.choice('ab')}/{i}",
            LISTENING[: chance.randrange(1, 4)],
            app=chance.choice("xyz"),
            **extra,
        )
        for i in range(5)
        for extra in [chance.choice([{}, {"env": "e"}])]
    ]
    return [*places, *pods], [some_policy() for _ in range(chance.randrange(5))]


@pytest.mark.parametrize("seed", range(40))
def test_what_holds_of_every_cluster(seed: int) -> None:
    things, policies = invented(random.Random(seed))  # noqa: S311 the same clusters in every run
    deny = [policy(where, policyTypes=["Ingress", "Egress"]) for where in "ab"]
    extra = invented(random.Random(seed + 1000))[1]  # noqa: S311
    everything, flows = matrix(things, EXTERNAL), matrix([*things, *policies], EXTERNAL)

    assert flows <= everything, "a policy opened what was open"
    assert matrix([*things, *reversed(policies)], EXTERNAL) == flows, "the order of policies matters"
    assert matrix([*things, *deny], EXTERNAL) == set(), "denying everything leaves something"
    closed = matrix([*things, *deny, *policies], EXTERNAL)
    assert closed <= flows, "denying everything opened something"
    assert closed <= matrix([*things, *deny, *policies, *extra], EXTERNAL), "a policy took from isolated pods"
    open_again = [policy(where, ingress=[{}], egress=[{}]) for where in "ab"]
    assert matrix([*things, *deny, *policies, *open_again], EXTERNAL) == everything
    single_rules = [
        {**each, "spec": {**each["spec"], "ingress": ingress, "egress": egress}}
        for each in policies
        for ingress, egress in [
            ([], []),
            *(([rule], []) for rule in each["spec"]["ingress"]),
            *(([], [rule]) for rule in each["spec"]["egress"]),
        ]
    ]
    assert matrix([*things, *single_rules], EXTERNAL) == flows, (
        "rules of one policy are not policies of one rule"
    )
