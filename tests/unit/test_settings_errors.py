"""Where unexpected errors go: what the settings take, whom they reach, and that nobody gets a way out by it."""

from typing import Any

import pytest

from settings.types import tag_of
from tests.recorder import Recording, is_pulumi_secret
from tests.unit.test_settings_backup import faults, sections, with_aws

FILE = "SENTRY_DSN_FILE"


def reporting(errors: dict[str, Any]) -> dict[str, Any]:
    data = sections(with_aws())
    return {**data, "monitoring": {**data["monitoring"], "errors": errors}}


def environment(recording: Recording, workload: str) -> dict[str, str]:
    found: dict[str, str] = recording.one("kubernetes:core/v1:ConfigMap", f"{workload}-config").inputs["data"]
    return found


@pytest.mark.parametrize("stack", ["staging", "production"])
def test_who_reports_is_told_where_and_as_what(recordings: dict[str, Recording], stack: str) -> None:
    recording = recordings[stack]
    for name in ("api", "worker") if stack == "production" else ("api",):
        told = environment(recording, name)
        assert told[FILE] == "/run/secrets/app/sentry-dsn"
        assert (told["SENTRY_ENVIRONMENT"], told["SENTRY_RELEASE"]) == (stack, "1.0.0")
        secret = recording.one("kubernetes:core/v1:Secret", f"{name}-secrets").inputs["stringData"]
        assert is_pulumi_secret(secret) or is_pulumi_secret(secret["sentry-dsn"])
        assert "given-sentry-dsn" not in str(told)
    for name in ("web", "realtime", "release-migrate"):
        assert FILE not in environment(recording, name)


def test_the_trial_of_a_release_reports_what_it_meets(recordings: dict[str, Recording]) -> None:
    assert FILE in environment(recordings["production"], "release-smoke")


def test_a_workload_without_a_way_out_gets_none_by_reporting() -> None:
    found = faults(reporting({"dsn": "sentry-dsn", "workloads": ["api", "web"]}))
    value, valid = found["fixia:monitoring.errors.workloads[1]"]
    assert value == "'web'"
    assert "workloads.web.talksTo" in valid
    assert len(found) == 1


def test_what_is_no_workload_and_no_secret_is_said_at_once() -> None:
    found = faults(reporting({"dsn": "sentry", "workloads": ["nobody"]}))
    assert "api" in found["fixia:monitoring.errors.workloads[0]"][1]
    assert "sentry-dsn" in found["fixia:monitoring.errors.dsn"][1]


def test_nobody_makes_a_dsn_up() -> None:
    (found,) = faults(reporting({"dsn": "redis-password", "workloads": ["api"]})).items()
    assert found[0] == "fixia:monitoring.errors.dsn"


def test_a_version_is_the_images_tag() -> None:
    assert tag_of(f"ghcr.io/fixia/api:1.4.2@sha256:{'a' * 64}") == "1.4.2"
    with pytest.raises(ValueError, match="no image"):
        tag_of("api")
