"""The public status page: what the settings take, who reaches it, and that it is told no more than it shows."""

import json
from typing import Any

from components.monitoring.status_page import CONTENT_SECURITY_POLICY, StatusPage
from tests.recorder import Recording, is_pulumi_secret
from tests.unit.test_settings_backup import faults, sections, with_aws


def showing(**changes: Any) -> dict[str, Any]:
    data = sections(with_aws())
    monitoring = {**data["monitoring"], **changes}
    monitoring = {key: value for key, value in monitoring.items() if value is not None}
    return {**data, "monitoring": monitoring}


def test_it_is_asked_by_everybody_under_a_host_of_its_own(recordings: dict[str, Recording]) -> None:
    for stack, domain in (("production", "fixia.app"), ("staging", "fixia-staging.app")):
        recording = recordings[stack]
        ingress = recording.one("kubernetes:networking.k8s.io/v1:Ingress", "routes-status-ingress").inputs[
            "spec"
        ]
        assert [rule["host"] for rule in ingress["rules"]] == [f"status.{domain}"]
        assert len(recording.of_type(StatusPage.TYPE)) == 1
    assert "script" not in CONTENT_SECURITY_POLICY


def test_it_is_told_public_names_and_a_password_by_file(recordings: dict[str, Recording]) -> None:
    recording = recordings["production"]
    deployment = recording.one("kubernetes:apps/v1:Deployment", "status-deployment").inputs
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in container["env"]}
    assert json.loads(told["SERVICES"]) == {"api": "API", "web": "Website"}
    assert told["PROMETHEUS_URL"] == "https://prometheus.fixia-monitoring.svc:9090"
    assert told["PASSWORD_FILE"].startswith("/run/secrets/")
    secret = recording.one("kubernetes:core/v1:Secret", "status-secrets").inputs["stringData"]
    assert is_pulumi_secret(secret) or is_pulumi_secret(secret["prometheus-password"])


def test_it_is_probed_and_shows_itself_to_nobody(recordings: dict[str, Recording]) -> None:
    recording = recordings["production"]
    config = recording.one("kubernetes:core/v1:ConfigMap", "prometheus-config").inputs["data"]
    assert "https://status.fixia.app/health" in json.dumps(config)


def test_without_probes_there_is_nothing_to_show() -> None:
    assert "fixia:monitoring.status" in faults(showing(blackbox=None))


def test_what_is_not_public_is_not_shown() -> None:
    status = showing()["monitoring"]["status"]
    found = faults(showing(status={**status, "shown": {"worker": "Worker"}}))
    assert "api" in found["fixia:monitoring.status.shown.worker"][1]


def test_its_host_is_its_own() -> None:
    status = showing()["monitoring"]["status"]
    assert "fixia:monitoring.status.host" in faults(showing(status={**status, "host": "api"}))
