"""What each stack sets for the pack: names that exist, levels no lower than allowed, exemptions that say why."""

from datetime import date, timedelta
from typing import Any

import jsonschema
import pytest

from baseline.adapter import config_schema
from baseline.exemptions import KEY, parse
from baseline.model import Policy
from baseline.pack import POLICIES
from delivery.review import policy_arguments
from tests.policy.programs import levels
from tests.recorder import ROOT, STACKS

BY_NAME: dict[str, Policy] = {policy.name: policy for policy in POLICIES}

by_stack = pytest.mark.parametrize("stack", STACKS)


def test_every_stack_has_levels_and_no_other_file_exists() -> None:
    found = {file.name for file in (ROOT / "policies").glob("levels.*.json")}
    assert found == {f"levels.{stack}.json" for stack in STACKS}


@by_stack
def test_names_exist(stack: str) -> None:
    assert set(levels(stack)) - set(BY_NAME) == set(), "the engine accepts unknown names without a word"


@by_stack
def test_settings_fit_the_policies(stack: str) -> None:
    for name, own in levels(stack).items():
        if isinstance(own, str):
            assert own in ("mandatory", "advisory")
            continue
        schema: dict[str, Any] = {
            "properties": {
                **config_schema(BY_NAME[name]),
                "enforcementLevel": {"enum": ["mandatory", "advisory"]},
            },
            "additionalProperties": False,
        }
        jsonschema.validate(own, schema)


@by_stack
def test_only_what_is_for_production_is_lowered_and_only_elsewhere(stack: str) -> None:
    lowered = {
        name
        for name, own in levels(stack).items()
        if (own if isinstance(own, str) else own.get("enforcementLevel")) == "advisory"
    }
    for_production = {policy.name for policy in POLICIES if policy.production_only}
    assert lowered == (set() if stack == "production" else for_production)


@by_stack
def test_exemptions_say_what_they_must_and_end_within_a_year_of_their_date(stack: str) -> None:
    for name, own in levels(stack).items():
        for entry in own.get(KEY, []) if isinstance(own, dict) else []:
            exemption = parse(name, entry)
            assert exemption.expires <= date.today() + timedelta(days=366), f"{name}: for more than a year"  # noqa: DTZ011


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"exemptions": [{"resource": "a:b:C::d"}]}, "'reason' is a required property"),
        ({"registry": ["ghcr.io"]}, "Additional properties are not allowed"),
    ],
)
def test_schema_refuses_what_the_pack_would_not_understand(settings: dict[str, Any], reason: str) -> None:
    schema = {"properties": config_schema(BY_NAME["allowed-registries"]), "additionalProperties": False}
    with pytest.raises(jsonschema.ValidationError, match=reason):
        jsonschema.validate(settings, schema)


@by_stack
def test_what_is_deployed_or_taken_back_is_judged_at_the_stacks_levels(stack: str) -> None:
    config = str(ROOT / f"policies/levels.{stack}.json")
    assert policy_arguments(ROOT, stack) == ["--policy-pack", "policies", "--policy-pack-config", config]
