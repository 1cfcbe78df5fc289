"""A release's steps, and what the settings become in production."""

import ast
from typing import Any

import pytest

from components.application.release import SMOKE_SECONDS
from tests.recorder import ROOT, Recording, stack_config

JOB = "kubernetes:batch/v1:Job"


def spec(recording: Recording, step: str) -> dict[str, Any]:
    found: dict[str, Any] = recording.one(JOB, f"release-{step}-job").inputs["spec"]
    return found


def test_each_step_has_one_try_and_a_deadline(recording: Recording) -> None:
    assert {r.name for r in recording.of_type(JOB)} == {
        *("release-migrate-job", "release-smoke-job", "release-snapshot-job")
    }
    for step, seconds in (("migrate", 900), ("smoke", SMOKE_SECONDS)):
        assert spec(recording, step)["backoffLimit"] == 0
        assert spec(recording, step)["activeDeadlineSeconds"] == seconds
        assert spec(recording, step)["template"]["spec"]["restartPolicy"] == "Never"


def test_a_step_that_failed_is_made_anew_by_the_next_up(recording: Recording) -> None:
    for job in recording.of_type(JOB):
        assert job.inputs["metadata"]["annotations"]["pulumi.com/replaceUnready"] == "true"


def test_the_engine_waits_longer_than_the_deadline(recording: Recording) -> None:
    for job in recording.of_type(JOB):
        patience = job.options["create_timeout"]
        assert float(patience.removesuffix("s")) == job.inputs["spec"]["activeDeadlineSeconds"] + 60


def test_each_step_runs_its_own_arguments_in_the_new_image(recording: Recording) -> None:
    workloads = recording.one("kubernetes:apps/v1:Deployment", "api-deployment").inputs
    image = workloads["spec"]["template"]["spec"]["containers"][0]["image"]
    (migrate,) = spec(recording, "migrate")["template"]["spec"]["containers"]
    (smoke,) = spec(recording, "smoke")["template"]["spec"]["containers"]
    assert (migrate["image"], migrate["args"]) == (image, ["migrate"])
    assert (smoke["image"], smoke["args"][:1]) == (image, ["smoke"])
    assert "http://127.0.0.1:3000" in smoke["args"]


def test_the_new_version_is_tried_beside_nobody_with_what_production_tells_it(recording: Recording) -> None:
    pod = spec(recording, "smoke")["template"]["spec"]
    (candidate,) = pod["initContainers"]
    serving = recording.one("kubernetes:apps/v1:Deployment", "api-deployment").inputs["spec"]["template"][
        "spec"
    ]
    (api,) = serving["containers"]
    assert candidate["restartPolicy"] == "Always"
    assert (candidate["image"], candidate["args"]) == (api["image"], api["args"])
    assert [mount["mountPath"] for mount in candidate["volumeMounts"]] == [
        mount["mountPath"] for mount in api["volumeMounts"]
    ]
    labels = spec(recording, "smoke")["template"]["metadata"]["labels"]
    service = recording.one("kubernetes:core/v1:Service", "api-service").inputs
    assert not service["spec"]["selector"].items() <= labels.items(), "the candidate would get traffic"


def test_what_a_step_depends_on_comes_first(recording: Recording) -> None:
    def names(resource: str, type_: str = JOB) -> set[str]:
        return {urn.split("::")[-1] for urn in recording.one(type_, resource).options["depends_on"]}

    assert {"release-migrate-egress", "cache-stateful-set"} <= names("release-migrate-job")
    assert "release-migrate-job" in names("release-smoke-job")
    for workload in ("api", "web", "realtime", "worker"):
        assert "release-smoke-job" in names(f"{workload}-deployment", "kubernetes:apps/v1:Deployment")


@pytest.mark.parametrize(("stack", "protected"), [("production", True), ("staging", False)])
def test_productions_data_cannot_be_deleted_by_accident(
    recordings: dict[str, Recording], stack: str, protected: bool
) -> None:
    claim = recordings[stack].one("kubernetes:core/v1:PersistentVolumeClaim", "cache-data")
    assert claim.options["protect"] is protected


def told(recording: Recording, workload: str) -> dict[str, str]:
    data: dict[str, str] = recording.one("kubernetes:core/v1:ConfigMap", f"{workload}-config").inputs["data"]
    return data


def test_a_workload_is_told_how_long_it_may_drain_and_its_ports(recording: Recording) -> None:
    for workload, seconds in (("api", 30), ("web", 30), ("realtime", 120), ("worker", 60)):
        assert told(recording, workload)["DRAIN_SECONDS"] == str(seconds)
        assert told(recording, workload)["PORT"] == "3000"
        assert told(recording, workload)["METRICS_PORT"] == "9464"


def test_a_public_workload_is_told_whom_to_trust_and_who_may_call(recordings: dict[str, Recording]) -> None:
    api, web, worker = (told(recordings["production"], name) for name in ("api", "web", "worker"))
    assert api["TRUSTED_PROXIES"].split(",")[0] == "10.0.0.0/8"
    assert "173.245.48.0/20" in api["TRUSTED_PROXIES"].split(",")
    assert api["CORS_ORIGINS"] == "https://fixia.app"
    assert api["BODY_LIMIT_BYTES"] == str(10 * 2**20)
    assert web["CONNECT_ORIGINS"] == "https://api.fixia.app,https://ws.fixia.app,wss://ws.fixia.app"
    assert "TRUSTED_PROXIES" not in worker


def test_a_busy_hour_adds_pods_at_once_and_takes_them_away_slowly(recording: Recording) -> None:
    scaler = recording.one("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "api-autoscaler")
    behaviour = scaler.inputs["spec"]["behavior"]
    assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behaviour["scaleDown"]["stabilizationWindowSeconds"] == 300
    assert behaviour["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_a_broken_pod_never_keeps_a_node_from_being_drained(recording: Recording) -> None:
    budget = recording.one("kubernetes:policy/v1:PodDisruptionBudget", "api-disruption-budget")
    assert budget.inputs["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_new_pod_must_hold_before_the_next_one_goes(recording: Recording) -> None:
    for deployment in recording.of_type("kubernetes:apps/v1:Deployment"):
        assert deployment.inputs["spec"]["minReadySeconds"] == 5
        assert deployment.inputs["spec"]["progressDeadlineSeconds"] == 600


def test_the_engines_patience_grows_with_the_number_of_pods(recordings: dict[str, Recording]) -> None:
    api = recordings["production"].one("kubernetes:apps/v1:Deployment", "api-deployment")
    assert api.options["update_timeout"] == "40m"


def test_a_service_does_not_wait_for_pods_that_wait_for_the_release(recording: Recording) -> None:
    for name in ("api", "web", "realtime"):
        service = recording.one("kubernetes:core/v1:Service", f"{name}-service")
        assert service.inputs["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


def test_the_stacks_that_are_tested_are_the_stacks_that_exist() -> None:
    assert {path.suffixes[0].strip(".") for path in ROOT.glob("Pulumi.*.yaml")} == {
        "local",
        "staging",
        "production",
    }
    assert ast.literal_eval(stack_config("local")["fixia:cluster"])["context"] == "fixia-local"
