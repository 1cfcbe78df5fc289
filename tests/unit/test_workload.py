"""What a workload promises, read off the objects that the whole program makes."""

from decimal import Decimal
from typing import Any

import pytest

from components.pods import ENDPOINT_REMOVAL_SECONDS
from components.quantities import quantity
from tests.recorder import Recording, is_pulumi_secret


def deployment(recording: Recording) -> dict[str, Any]:
    spec: dict[str, Any] = recording.one("kubernetes:apps/v1:Deployment", "api-deployment").inputs["spec"]
    return spec


def pod(recording: Recording) -> dict[str, Any]:
    spec: dict[str, Any] = deployment(recording)["template"]["spec"]
    return spec


@pytest.mark.parametrize(("stack", "pods"), [("staging", (1, 3)), ("production", (3, 10))])
def test_the_api_scales_as_its_stack_says(
    recordings: dict[str, Recording], stack: str, pods: tuple[int, int]
) -> None:
    scaler = (
        recordings[stack]
        .one("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "api-autoscaler")
        .inputs["spec"]
    )
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == pods
    targets = {metric["resource"]["name"]: metric["resource"]["target"] for metric in scaler["metrics"]}
    assert targets == {
        "cpu": {"type": "Utilization", "averageUtilization": 70},
        "memory": {"type": "Utilization", "averageUtilization": 80},
    }
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}


def test_a_release_never_undoes_what_the_autoscaler_decided(recording: Recording) -> None:
    assert "replicas" not in deployment(recording)


def test_a_release_never_takes_a_pod_away_first(recording: Recording) -> None:
    assert deployment(recording)["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


def test_a_stopping_pod_has_time_to_leave_the_service_and_then_to_drain(recording: Recording) -> None:
    (container,) = pod(recording)["containers"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == ENDPOINT_REMOVAL_SECONDS
    assert pod(recording)["terminationGracePeriodSeconds"] == ENDPOINT_REMOVAL_SECONDS + 30


def test_liveness_asks_for_less_than_readiness(recording: Recording) -> None:
    (container,) = pod(recording)["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    assert container["livenessProbe"]["httpGet"]["path"] == "/version"
    names = {port["name"] for port in container["ports"]}
    assert names == {"http", "metrics"}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] in names


def test_the_service_finds_the_pods_and_their_port(recording: Recording) -> None:
    service = recording.one("kubernetes:core/v1:Service", "api-service").inputs
    labels = deployment(recording)["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["ports"][0]["targetPort"] in {
        port["name"] for port in pod(recording)["containers"][0]["ports"]
    }
    assert service["spec"]["type"] == "ClusterIP"
    assert service["metadata"]["name"] == "api"


def test_the_disruption_budget_covers_the_pods_and_never_blocks_a_drain(recording: Recording) -> None:
    budget = recording.one("kubernetes:policy/v1:PodDisruptionBudget", "api-disruption-budget").inputs["spec"]
    assert budget["maxUnavailable"] == 1
    labels = deployment(recording)["template"]["metadata"]["labels"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()


def test_pods_spread_over_zones_and_nodes(recording: Recording) -> None:
    spread = {constraint["topologyKey"] for constraint in pod(recording)["topologySpreadConstraints"]}
    assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_the_pod_has_an_account_of_its_own_and_no_token(recording: Recording) -> None:
    account = recording.one("kubernetes:core/v1:ServiceAccount", "api-account").inputs
    assert account["automountServiceAccountToken"] is False
    assert pod(recording)["automountServiceAccountToken"] is False
    assert pod(recording)["serviceAccountName"] == "api-account-made-up"


def test_credentials_are_files_and_secret_all_the_way(recording: Recording) -> None:
    secret = recording.one("kubernetes:core/v1:Secret", "api-secrets").inputs
    assert is_pulumi_secret(secret["stringData"])
    config = recording.one("kubernetes:core/v1:ConfigMap", "api-config").inputs["data"]
    assert config["JWT_SECRET_FILE"] == "/run/secrets/app/jwt-secret"
    mounts = {mount["mountPath"]: mount for mount in pod(recording)["containers"][0]["volumeMounts"]}
    assert mounts["/run/secrets/app"]["readOnly"] is True


def test_a_change_of_configuration_makes_a_new_object(recording: Recording) -> None:
    for kind, name in (("ConfigMap", "api-config"), ("Secret", "api-secrets")):
        resource = recording.one(f"kubernetes:core/v1:{kind}", name)
        assert resource.inputs["immutable"] is True
        assert "name" not in resource.inputs["metadata"]


def test_the_heap_fits_the_memory_limit(recording: Recording) -> None:
    (container,) = pod(recording)["containers"]
    options = recording.one("kubernetes:core/v1:ConfigMap", "api-config").inputs["data"]["NODE_OPTIONS"]
    heap = int(options.removeprefix("--max-old-space-size=")) * 2**20
    assert heap == 2**30
    assert quantity(container["resources"]["limits"]["memory"]) >= heap * Decimal("1.2")


def test_production_fits_the_recommended_machine(recordings: dict[str, Recording]) -> None:
    quotas = [
        r.inputs["spec"]["hard"] for r in recordings["production"].of_type("kubernetes:core/v1:ResourceQuota")
    ]
    assert sum(quantity(quota["requests.cpu"]) for quota in quotas) <= 8
    assert sum(quantity(quota["requests.memory"]) for quota in quotas) <= quantity("16Gi")


def test_the_frontend_scales_as_production_says(recordings: dict[str, Recording]) -> None:
    scaler = recordings["production"].one(
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "web-autoscaler"
    )
    assert (scaler.inputs["spec"]["minReplicas"], scaler.inputs["spec"]["maxReplicas"]) == (2, 5)


def test_a_queues_worker_has_no_service_and_waits_when_the_cluster_is_full(recording: Recording) -> None:
    assert "worker-service" not in {r.name for r in recording.of_type("kubernetes:core/v1:Service")}
    spec = recording.one("kubernetes:apps/v1:Deployment", "worker-deployment").inputs["spec"]
    assert spec["template"]["spec"]["priorityClassName"] == "fixia-background"


def test_a_gateways_clients_stay_on_their_pod_and_have_time_to_leave(recording: Recording) -> None:
    service = recording.one("kubernetes:core/v1:Service", "realtime-service").inputs
    assert service["metadata"]["annotations"]["traefik.ingress.kubernetes.io/service.sticky.cookie"] == "true"
    spec = recording.one("kubernetes:apps/v1:Deployment", "realtime-deployment").inputs["spec"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == ENDPOINT_REMOVAL_SECONDS + 120


def test_only_the_entrance_and_what_watches_may_ask_the_api_server_anything(recording: Recording) -> None:
    bindings = [
        *recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"),
        *recording.of_type("kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"),
    ]
    assert bindings
    subjects = {subject["name"] for binding in bindings for subject in binding.inputs["subjects"]}
    watching = {"prometheus-account-made-up", "kube-state-metrics-account-made-up"}
    assert subjects == {"entrance-account-made-up", *watching}
