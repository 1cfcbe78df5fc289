"""Cross-examination: checkov over every stack's objects, and beside the pack over bad ones."""

from pathlib import Path

import pytest
import yaml

from tests.cross import comparison, scanner
from tests.policy.programs import recorded
from tests.recorder import Recording

EXEMPT: dict[str, str] = {
    "CKV_K8S_43": "Digests are locked by a release, not written into settings.",
    "CKV_K8S_11": "A limit of CPU throttles and protects nobody; requests share the node out.",
    "CKV_K8S_8": "Sidecars that listen on nothing have nothing that a probe could ask.",
    "CKV_K8S_9": "Sidecars that listen on nothing are asked by nobody; the backups' server is exempt in the levels.",
    "CKV_K8S_15": "Tags are never moved, so that a node that has the image needs no registry to start a pod.",
}
"""Checks that the stacks don't pass on purpose, and why."""

EXEMPT_OBJECTS: dict[str, set[str]] = {
    # Where the API server can be scraped is told in the namespace `default` alone; exempt in the levels too.
    "CKV_K8S_21": {
        "Role.default.prometheus-api-server-role-made-up",
        "RoleBinding.default.prometheus-api-server-role-binding-made-up",
    },
}
"""Single objects that don't pass on purpose: all of them, and no other."""


@pytest.fixture(scope="session", autouse=True)
def _program() -> None:
    try:
        scanner.checkov()
    except scanner.UnavailableError as error:
        pytest.skip(str(error))


def test_checkov_finds_nothing_in_a_stack_but_what_is_exempt(recording: Recording, tmp_path: Path) -> None:
    objects = [one.properties for one in recorded(recording) if one.type.startswith("kubernetes:")]
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump_all(objects))
    found = scanner.failed(tmp_path).get("stack.yaml", {})
    assert {check: set(names) for check, names in found.items() if check not in EXEMPT} == EXEMPT_OBJECTS


def test_comparison_is_current() -> None:
    found = comparison.table()
    assert all(own for own, _ in found.values()), "the pack finds every fault"
    assert comparison.PAGE.read_text(encoding="utf-8") == comparison.page(found)
