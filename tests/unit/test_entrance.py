"""What the entrance and its routes promise, read off the objects that they make."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
import yaml

from components.application.scaling import Autoscaling
from components.base import Identity
from components.ingress import traefik_config
from components.ingress.entrance import Entrance, EntranceArgs
from components.ingress.route import RateLimit, Route, sticky_annotations
from components.ingress.routes import Routes, RoutesArgs
from components.network import Addresses, Endpoint
from components.pods import ENDPOINT_REMOVAL_SECONDS, Resources
from tests.recorder import Recording, record

IDENTITY = Identity(product="fixia", environment="staging", owner="platform-team", cost_centre="platform")
CDN = ["173.245.48.0/20", "2400:cb00::/32"]
SERVED = {"app": "fixia-app", "monitoring": "fixia-monitoring"}


def route(name: str, *, backend: str | None = None, **particulars: Any) -> Route:
    pods = {"app.kubernetes.io/name": backend or name}
    endpoint = Endpoint(name=backend or name, namespace="fixia-app", pods=pods, port=3000)
    return Route(
        name=name, host=f"{name}.fixia.app", backend=endpoint, service=backend or name, **particulars
    )


ROUTES = [
    route("api", rate_limit=RateLimit(), max_body_bytes=2**20),
    route("site", content_security_policy="default-src 'self'"),
    route("www", backend="site"),
]

ARGS = EntranceArgs(
    identity=IDENTITY,
    namespace="fixia-ingress",
    image="traefik:v3.5.3",
    resources=Resources(cpu="100m", memory="128Mi", memory_limit="256Mi"),
    routes=ROUTES,
    served=SERVED,
    certificates=["public-tls", pulumi.Output.from_input("second-tls")],
    api_server=Addresses(name="api-server", cidrs={"10.0.0.0/24": []}, port=6443),
    trusted_ranges=CDN,
)


def entrance(**changes: Any) -> Recording:
    return record(lambda: Entrance("entrance", dataclasses.replace(ARGS, **changes)) and None)


def routes(**changes: Any) -> Recording:
    return record(
        lambda: Routes("routes", RoutesArgs(**{"identity": IDENTITY, "routes": ROUTES, **changes})) and None
    )


@pytest.fixture(scope="module")
def made() -> Recording:
    return entrance()


def spec(recording: Recording, type_: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = recording.one(f"kubernetes:{type_}", name).inputs["spec"]
    return found


def deployment(recording: Recording) -> dict[str, Any]:
    return spec(recording, "apps/v1:Deployment", "entrance-deployment")


def pod(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = deployment(recording)["template"]["spec"]
    return found


def container(recording: Recording) -> dict[str, Any]:
    (found,) = pod(recording)["containers"]
    return dict(found)


def volumes(recording: Recording) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod(recording)["volumes"]}


def files(recording: Recording) -> Mapping[str, str]:
    data: dict[str, str] = recording.one("kubernetes:core/v1:ConfigMap", "entrance-config").inputs["data"]
    return data


def static(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files(recording)["traefik.yaml"])
    return found


def middlewares(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files(recording)["routes.yaml"])["http"]["middlewares"]
    return found


def test_there_are_two_pods_and_a_release_never_takes_one_away_first(made: Recording) -> None:
    assert deployment(made)["replicas"] == 2
    assert deployment(made)["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = spec(made, "policy/v1:PodDisruptionBudget", "entrance-disruption-budget")
    assert budget["maxUnavailable"] == 1
    topologies = {constraint["topologyKey"] for constraint in pod(made)["topologySpreadConstraints"]}
    assert topologies == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_an_autoscaler_owns_the_number_where_there_is_one() -> None:
    recording = entrance(autoscaling=Autoscaling(min=3, max=6, cpu_percent=70, memory_percent=80))

    assert "replicas" not in deployment(recording)
    scaler = spec(recording, "autoscaling/v2:HorizontalPodAutoscaler", "entrance-autoscaler")
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 6)
    assert scaler["scaleTargetRef"]["name"] == "entrance"


def test_production_has_no_single_pod() -> None:
    production = dataclasses.replace(IDENTITY, environment="production")
    with pytest.raises(ValueError, match="at least two pods"):
        dataclasses.replace(ARGS, identity=production, replicas=1)
    scaled = Autoscaling(min=1, max=6, cpu_percent=70, memory_percent=80)
    with pytest.raises(ValueError, match="at least two pods"):
        dataclasses.replace(ARGS, identity=production, autoscaling=scaled)


def test_an_entrance_without_a_certificate_or_for_another_class_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a certificate"):
        dataclasses.replace(ARGS, certificates=[])
    with pytest.raises(ValueError, match="another controller"):
        dataclasses.replace(ARGS, class_name="nginx")


def test_a_stopping_pod_has_time_for_all_that_its_configuration_promises(made: Recording) -> None:
    for name in ("web", "websecure", "ping"):
        stop = static(made)["entryPoints"][name]["transport"]["lifeCycle"]
        assert stop["requestAcceptGraceTimeout"] == f"{ENDPOINT_REMOVAL_SECONDS}s"
        assert stop["graceTimeOut"] == f"{traefik_config.DRAIN_SECONDS}s"
    promised = ENDPOINT_REMOVAL_SECONDS + traefik_config.DRAIN_SECONDS
    assert pod(made)["terminationGracePeriodSeconds"] > promised
    assert traefik_config.DRAIN_SECONDS >= traefik_config.TIMEOUT_SECONDS
    assert "lifecycle" not in container(made)


def test_the_pod_listens_where_its_configuration_says(made: Recording) -> None:
    listening = {
        name: int(entry["address"].rpartition(":")[2]) for name, entry in static(made)["entryPoints"].items()
    }
    ports = {port["name"]: port["containerPort"] for port in container(made)["ports"]}
    assert listening == ports
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(made)[probe]["httpGet"]["port"] == static(made)["ping"]["entryPoint"]
    assert container(made)["readinessProbe"]["successThreshold"] > 1
    service = spec(made, "core/v1:Service", "entrance-service")
    assert {port["port"]: port["targetPort"] for port in service["ports"]} == {80: "web", 443: "websecure"}


def test_the_token_is_asked_for_and_expires(made: Recording) -> None:
    assert pod(made)["automountServiceAccountToken"] is False
    token, authority = volumes(made)["token"]["projected"]["sources"]
    assert token["serviceAccountToken"] == {"path": "token", "expirationSeconds": 3600}
    assert authority["configMap"]["name"] == "kube-root-ca.crt"
    mounts = {mount["name"]: mount["mountPath"] for mount in container(made)["volumeMounts"]}
    assert mounts["token"] == "/var/run/secrets/kubernetes.io/serviceaccount"


def test_certificates_and_routes_are_one_folder(made: Recording) -> None:
    routes, first, second = volumes(made)["dynamic"]["projected"]["sources"]
    assert [item["path"] for item in routes["configMap"]["items"]] == ["routes.yaml"]
    assert [first["secret"]["name"], second["secret"]["name"]] == ["public-tls", "second-tls"]
    there = {item["path"] for source in (first, second) for item in source["secret"]["items"]}
    named = yaml.safe_load(files(made)["routes.yaml"])["tls"]["certificates"]
    folder = static(made)["providers"]["file"]["directory"]
    assert {path for pair in named for path in pair.values()} == {f"{folder}/{name}" for name in there}


def test_the_callers_authority_is_mounted_where_it_is_looked_for() -> None:
    recording = entrance(client_authority="pulls-ca")
    source = volumes(recording)["dynamic"]["projected"]["sources"][-1]["secret"]
    assert source["name"] == "pulls-ca"
    options = yaml.safe_load(files(recording)["routes.yaml"])["tls"]["options"]["default"]
    folder = static(recording)["providers"]["file"]["directory"]
    assert options["clientAuth"]["caFiles"] == [f"{folder}/{source['items'][0]['path']}"]
    assert options["clientAuth"]["clientAuthType"] == "RequireAndVerifyClientCert"


def test_a_change_of_routes_makes_a_new_object(made: Recording) -> None:
    config = made.one("kubernetes:core/v1:ConfigMap", "entrance-config").inputs
    assert config["immutable"] is True
    assert "name" not in config["metadata"]


def test_it_may_watch_and_never_write(made: Recording) -> None:
    roles = made.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role")
    (cluster_role,) = made.of_type("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
    for role in (*roles, cluster_role):
        for rule in role.inputs["rules"]:
            assert set(rule["verbs"]) == {"list", "watch"}
            assert "*" not in rule["resources"] + rule["apiGroups"]
    everywhere = {name for rule in cluster_role.inputs["rules"] for name in rule["resources"]}
    assert everywhere == {"ingressclasses", "nodes"}


def test_secrets_can_be_read_in_the_served_namespaces_alone(made: Recording) -> None:
    roles = made.of_type("kubernetes:rbac.authorization.k8s.io/v1:Role")
    namespaces = {role.inputs["metadata"]["namespace"] for role in roles}
    assert (
        namespaces
        == set(SERVED.values())
        == set(static(made)["providers"]["kubernetesIngress"]["namespaces"])
    )
    for binding in made.of_type("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"):
        assert binding.inputs["subjects"] == [
            {"kind": "ServiceAccount", "name": "entrance-account-made-up", "namespace": "fixia-ingress"}
        ]


def test_only_the_proxies_get_in_at_every_wall(made: Recording) -> None:
    service = spec(made, "core/v1:Service", "entrance-service")
    assert service["externalTrafficPolicy"] == "Local"
    assert service["loadBalancerSourceRanges"] == CDN
    assert service["allocateLoadBalancerNodePorts"] is False
    policy = spec(made, "networking.k8s.io/v1:NetworkPolicy", "entrance-from-outside")
    (rule,) = policy["ingress"]
    assert [peer["ipBlock"]["cidr"] for peer in rule["from"]] == CDN
    assert [port["port"] for port in rule["ports"]] == [8000, 8443]
    assert static(made)["entryPoints"]["websecure"]["forwardedHeaders"]["trustedIPs"] == CDN
    assert middlewares(made)["trusted"]["ipAllowList"]["sourceRange"] == CDN


def test_without_proxies_everybody_gets_in_and_is_taken_for_nobody_else() -> None:
    recording = entrance(trusted_ranges=[])
    policy = spec(recording, "networking.k8s.io/v1:NetworkPolicy", "entrance-from-outside")
    assert [peer["ipBlock"]["cidr"] for peer in policy["ingress"][0]["from"]] == ["0.0.0.0/0", "::/0"]
    assert "loadBalancerSourceRanges" not in spec(recording, "core/v1:Service", "entrance-service")
    assert static(recording)["entryPoints"]["websecure"]["forwardedHeaders"]["trustedIPs"] == []
    criterion = middlewares(recording)["api-rate"]["rateLimit"]["sourceCriterion"]
    assert criterion == {"ipStrategy": {"ipv6Subnet": 64}}
    assert "trusted" not in middlewares(recording)


def test_a_service_inside_the_cluster_has_nothing_of_a_load_balancer() -> None:
    service = spec(entrance(service_type="ClusterIP"), "core/v1:Service", "entrance-service")
    assert service["type"] == "ClusterIP"
    outside = {"externalTrafficPolicy", "loadBalancerSourceRanges", "allocateLoadBalancerNodePorts"}
    assert not outside & set(service)


def test_each_backend_is_connected_once_and_so_is_the_api_server(made: Recording) -> None:
    policies = made.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    assert [policy.name for policy in policies] == [
        "entrance-egress",
        "entrance-from-outside",
        "entrance-to-api",
        "entrance-to-site",
    ]
    rules = spec(made, "networking.k8s.io/v1:NetworkPolicy", "entrance-egress")["egress"]
    assert [rule["ports"][0]["port"] for rule in rules] == [3000, 3000, 6443]


def test_limits_hold_on_the_api_alone(made: Recording) -> None:
    there = middlewares(made)
    rate = there["api-rate"]["rateLimit"]
    assert (rate["average"], rate["burst"], rate["period"]) == (10, 20, "1s")
    assert there["api-body"]["buffering"]["maxRequestBodyBytes"] == 2**20
    assert there["api"]["chain"]["middlewares"] == [
        "api-headers",
        "trusted",
        "api-rate",
        "compress",
        "api-body",
        "retry",
    ]
    assert there["site"]["chain"]["middlewares"] == ["site-headers", "trusted", "compress", "retry"]


def test_every_middleware_of_a_chain_is_there(made: Recording) -> None:
    there = middlewares(made)
    chains = [there[one.name]["chain"]["middlewares"] for one in ROUTES]
    assert {name for chain in chains for name in chain} <= set(there)


def test_an_ingress_stands_beside_its_service_and_names_its_chain(made: Recording) -> None:
    ingresses = routes().of_type("kubernetes:networking.k8s.io/v1:Ingress")
    assert {ingress.inputs["metadata"]["name"] for ingress in ingresses} == {"api", "site", "www"}
    for ingress in ingresses:
        metadata, wanted = ingress.inputs["metadata"], ingress.inputs["spec"]
        assert metadata["namespace"] == "fixia-app"
        assert metadata["annotations"] == {
            "traefik.ingress.kubernetes.io/router.middlewares": f"{metadata['name']}@file",
            "pulumi.com/skipAwait": "true",
        }
        assert metadata["name"] in middlewares(made)
        assert wanted["ingressClassName"] == static(made)["providers"]["kubernetesIngress"]["ingressClass"]
        assert wanted["ingressClassName"] == "entrance"
        assert wanted["tls"] == [{"hosts": [wanted["rules"][0]["host"]]}]
        (path,) = wanted["rules"][0]["http"]["paths"]
        assert (path["path"], path["pathType"]) == ("/", "Prefix")
        assert path["backend"]["service"]["port"] == {"name": "http"}


def test_the_class_is_the_one_that_traefik_looks_for(made: Recording) -> None:
    (found,) = made.of_type("kubernetes:networking.k8s.io/v1:IngressClass")
    assert found.inputs["metadata"]["name"] == "entrance"
    assert found.inputs["spec"] == {"controller": "traefik.io/ingress-controller"}


def test_a_cluster_with_its_own_controller_only_changes_the_class() -> None:
    recording = routes(class_name="nginx", annotations={"cert-manager.io/cluster-issuer": "public"})
    assert {resource.type for resource in recording.all.values() if resource.custom} == {
        "kubernetes:networking.k8s.io/v1:Ingress"
    }
    for ingress in recording.of_type("kubernetes:networking.k8s.io/v1:Ingress"):
        assert ingress.inputs["spec"]["ingressClassName"] == "nginx"
        assert set(ingress.inputs["metadata"]["annotations"]) == {
            "cert-manager.io/cluster-issuer",
            "pulumi.com/skipAwait",
        }


@pytest.mark.parametrize(("what", "second"), [("name", {"name": "api"}), ("host", {"host": "api.fixia.app"})])
def test_two_routes_are_never_one(what: str, second: dict[str, str]) -> None:
    twice = [ROUTES[0], dataclasses.replace(ROUTES[1], **second)]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"share the {what} api"):
        RoutesArgs(identity=IDENTITY, routes=twice)


def test_the_cookie_of_a_sticky_service_is_out_of_reach_of_scripts_and_plain_http() -> None:
    cookie = "traefik.ingress.kubernetes.io/service.sticky.cookie"
    assert sticky_annotations() == {
        cookie: "true",
        f"{cookie}.name": "entrance",
        f"{cookie}.secure": "true",
        f"{cookie}.httponly": "true",
        f"{cookie}.samesite": "lax",
    }


def test_the_components_register_what_they_annotate(made: Recording) -> None:
    (component,) = made.of_type("fixia:ingress:Entrance")
    assert set(component.outputs or {}) == set(Entrance.outputs()) == {"service", "deployment"}
    (component,) = routes().of_type("fixia:ingress:Routes")
    assert component.outputs == {"hosts": ["api.fixia.app", "site.fixia.app", "www.fixia.app"]}
