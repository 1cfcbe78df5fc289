"""Cross-examination: kubernetes-validate over every stack's objects."""

from typing import Any

import pytest
from kubernetes_validate import SchemaNotFoundError, ValidationError, validate
from pulumi.runtime import rpc

from tests.recorder import Recording
from tests.reference import kubernetes_objects

RELEASE = "1.35"
OPERATORS = {"cert-manager.io/v1"}
"""Custom resources: tests/cluster judges them by their operator's own definitions."""


def unwrapped(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and rpc._special_sig_key in value else value


def test_every_object_is_one_of_the_api(recording: Recording) -> None:
    objects = kubernetes_objects(recording)
    own = [thing for thing in objects if thing["apiVersion"] not in OPERATORS]
    assert len(own) > 100
    faults = []
    for thing in own:
        # The mocks hand secrets over in a wrapping that the engine takes off.
        plain = {key: unwrapped(value) for key, value in thing.items()}
        try:
            validate(plain, RELEASE, strict=True)
        except (ValidationError, SchemaNotFoundError) as fault:
            faults.append(f"{thing['kind']} {thing['metadata']['name']}: {str(fault).splitlines()[0]}")
    assert faults == []


def test_an_object_that_is_none_of_the_api_is_found() -> None:
    with pytest.raises(ValidationError):
        validate(
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"prots": []}},
            RELEASE,
            strict=True,
        )
