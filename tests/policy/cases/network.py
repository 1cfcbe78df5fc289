"""Cases of the policies about selectors, traffic and what is reachable from outside."""

from baseline.model import UNKNOWN, Resource, Value
from tests.policy.cases.builders import (
    ABSENT,
    CRON_JOB,
    Block,
    Case,
    Kind,
    cases,
    labelled,
    resource,
    workload,
)
from tests.policy.cases.workloads import CLUSTER, INGRESS, LABELS, SERVICE, deployment

PASS, FAIL, MISSING, UNKNOWN_VALUE, INIT, EPHEMERAL, NESTED = Kind


def service(spec: Block | None = None, name: str = "web") -> Resource:
    """A Service of the deployment, but for what is given."""
    return labelled(SERVICE, {"selector": {"app": "web"}, **(spec or {})}, name)


def network_policy(spec: Block | None = None) -> Resource:
    """A network policy of the deployment, but for what is given."""
    return labelled(
        "networking.k8s.io/v1:NetworkPolicy",
        {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], **(spec or {})},
        "wall",
    )


RESOLVE = cases(
    "selectors-resolve",
    (PASS, "both", (deployment(), service(), network_policy()), {}),
    (PASS, "an empty one is of all", (network_policy({"podSelector": {}}),), {}),
    (PASS, "without a selector somebody else decides", (labelled(SERVICE, {"type": "ExternalName"}),), {}),
    (
        PASS,
        "of an operator's pods",
        (
            labelled(CLUSTER, {"instances": 2}, "db"),
            labelled(SERVICE, {"selector": {"cnpg.io/cluster": "db"}}),
        ),
        {},
    ),
    (
        FAIL,
        "a Service of nothing",
        (deployment(), service({"selector": {"app": "api"}})),
        {"spec.selector": {"app": "api"}},
    ),
    (
        FAIL,
        "of another namespace",
        (deployment({"metadata.namespace": "other"}), service()),
        {"spec.selector": {"app": "web"}},
    ),
    (FAIL, "a policy of nothing", (network_policy(),), {"spec.podSelector": {"matchLabels": {"app": "web"}}}),
    (
        FAIL,
        "one label too many",
        (deployment(), service({"selector": {"app": "web", "tier": "a"}})),
        {"spec.selector": {"app": "web", "tier": "a"}},
    ),
    (
        MISSING,
        "the pods' labels",
        (deployment({LABELS: ABSENT}), service()),
        {"spec.selector": {"app": "web"}},
    ),
    (
        UNKNOWN_VALUE,
        "the selector",
        (deployment(), service({"selector": {"app": UNKNOWN}})),
        {"spec.selector": UNKNOWN},
    ),
    (
        UNKNOWN_VALUE,
        "the pods' labels",
        (deployment({LABELS: {"app": UNKNOWN}}), service()),
        {"spec.selector": UNKNOWN},
    ),
)

PEER: Block = {"from": [{"podSelector": {"matchLabels": {"app": "api"}}}]}
TRAFFIC = cases(
    "pods-have-networkpolicy",
    (PASS, "one of its own", (deployment(), network_policy({"ingress": [PEER]})), {}),
    (PASS, "one of all", (deployment(), network_policy({"podSelector": {}})), {}),
    (
        PASS,
        "the internet, on a port",
        (
            deployment(),
            network_policy(
                {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]}
            ),
        ),
        {},
    ),
    (FAIL, "none", (deployment(),), {LABELS: {"app": "web"}}),
    (
        FAIL,
        "of another",
        (deployment(), network_policy({"podSelector": {"matchLabels": {"app": "api"}}})),
        {LABELS: {"app": "web"}},
    ),
    (
        FAIL,
        "that lets everybody in",
        (deployment(), network_policy({"ingress": [PEER, {}]})),
        {"spec.ingress[1]": {}},
    ),
    (
        FAIL,
        "that lets everything out",
        (deployment(), network_policy({"egress": [{"to": [{"ipBlock": {"cidr": "::/0"}}]}]})),
        {"spec.egress[0]": {"to": [{"ipBlock": {"cidr": "::/0"}}]}},
    ),
    (
        NESTED,
        "none",
        (workload(CRON_JOB),),
        {"spec.jobTemplate.spec.template.metadata.labels": {"app": "web"}},
    ),
    (MISSING, "the pods' labels", (deployment({LABELS: ABSENT}), network_policy()), {LABELS: ABSENT}),
    (
        UNKNOWN_VALUE,
        "the selector",
        (deployment(), network_policy({"podSelector": UNKNOWN})),
        {LABELS: UNKNOWN},
    ),
    (
        UNKNOWN_VALUE,
        "a rule",
        (deployment(), network_policy({"ingress": [{"from": UNKNOWN}]})),
        {"spec.ingress[0]": UNKNOWN},
    ),
)

TYPE = cases(
    "no-nodeport-loadbalancer",
    (PASS, "ClusterIP", (service({"type": "ClusterIP"}),), {}),
    (PASS, "the named entrance", (service({"type": "LoadBalancer"}, "entrance"),), {}),
    (FAIL, "a load balancer", (service({"type": "LoadBalancer"}),), {"spec.type": "LoadBalancer"}),
    (FAIL, "a port of the nodes", (service({"type": "NodePort"}),), {"spec.type": "NodePort"}),
    (
        FAIL,
        "even the entrance has no port of the nodes",
        (service({"type": "NodePort"}, "entrance"),),
        {"spec.type": "NodePort"},
    ),
    (MISSING, "the type is ClusterIP", (service(),), {}),
    (UNKNOWN_VALUE, "the type", (service({"type": UNKNOWN}),), {"spec.type": UNKNOWN}),
    (
        UNKNOWN_VALUE,
        "the name",
        (
            resource(
                "kubernetes:core/v1:Service",
                {"metadata": {"name": UNKNOWN, "namespace": "shop"}, "spec": {"type": "LoadBalancer"}},
            ),
        ),
        {"spec.type": UNKNOWN},
    ),
)

ADDRESSES = cases(
    "no-external-ips",
    (PASS, "an empty list", (service({"externalIPs": []}),), {}),
    (FAIL, "one", (service({"externalIPs": ["10.0.0.1"]}),), {"spec.externalIPs": ["10.0.0.1"]}),
    (MISSING, "none", (service(),), {}),
    (UNKNOWN_VALUE, "the list", (service({"externalIPs": UNKNOWN}),), {"spec.externalIPs": UNKNOWN}),
)


def ingress(spec: Block | None = None, **metadata: Value) -> Resource:
    """An Ingress that is right, but for what is given."""
    right: Block = {"rules": [{"host": "shop.example"}], "tls": [{"hosts": ["shop.example"]}]}
    return labelled(INGRESS, {**right, **(spec or {})}, **metadata)  # type: ignore[arg-type]


HOST = "spec.rules[0].host"
TLS = cases(
    "ingress-tls",
    (PASS, "by name", (ingress(),), {}),
    (
        PASS,
        "by wildcard",
        (ingress({"rules": [{"host": "a.shop.example"}], "tls": [{"hosts": ["*.shop.example"]}]}),),
        {},
    ),
    (FAIL, "of another host", (ingress({"tls": [{"hosts": ["other.example"]}]}),), {HOST: "shop.example"}),
    (
        FAIL,
        "a wildcard is of one label",
        (ingress({"rules": [{"host": "a.b.shop.example"}], "tls": [{"hosts": ["*.shop.example"]}]}),),
        {HOST: "a.b.shop.example"},
    ),
    (FAIL, "an empty list", (ingress({"tls": []}),), {"spec.tls": []}),
    (MISSING, "tls", (ingress({"tls": ABSENT}),), {"spec.tls": ABSENT}),
    (UNKNOWN_VALUE, "the host", (ingress({"rules": [{"host": UNKNOWN}]}),), {HOST: UNKNOWN}),
    (UNKNOWN_VALUE, "the certificate's hosts", (ingress({"tls": [{"hosts": UNKNOWN}]}),), {HOST: UNKNOWN}),
)

SNIPPET = "nginx.ingress.kubernetes.io/configuration-snippet"
ROUTING = cases(
    "ingress-safe-routing",
    (PASS, "a host", (ingress(),), {}),
    (
        PASS,
        "harmless annotations",
        (ingress(annotations={"traefik.ingress.kubernetes.io/router.middlewares": "a@file"}),),
        {},
    ),
    (
        FAIL,
        "any host of a domain",
        (ingress({"rules": [{"host": "*.shop.example"}]}),),
        {HOST: "*.shop.example"},
    ),
    (
        FAIL,
        "every host",
        (ingress({"defaultBackend": {"service": {"name": "web"}}}),),
        {"spec.defaultBackend": {"service": {"name": "web"}}},
    ),
    (
        FAIL,
        "configuration of its author's",
        (ingress(annotations={SNIPPET: "deny all;"}),),
        {f'metadata.annotations["{SNIPPET}"]': "(its text)"},
    ),
    (MISSING, "the host", (ingress({"rules": [{}]}),), {HOST: ABSENT}),
    (UNKNOWN_VALUE, "the host", (ingress({"rules": [{"host": UNKNOWN}]}),), {HOST: UNKNOWN}),
)

CASES: tuple[Case, ...] = (*RESOLVE, *TRAFFIC, *TYPE, *ADDRESSES, *TLS, *ROUTING)
