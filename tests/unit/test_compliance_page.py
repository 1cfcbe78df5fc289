"""The page about controls names nothing that does not exist, and stands as it is generated."""

import re

import pytest

from baseline.pack import POLICIES
from tests import compliance_page
from tests.compliance_table import Control, Standard
from tests.recorder import ROOT

STANDARDS = compliance_page.standards()
CONTROLS = [(standard, control) for standard in STANDARDS for control in standard.controls]
ALERTS = {
    name
    for file in (ROOT / "components").rglob("*alerts.py")
    for name in re.findall(r'"([A-Z][A-Za-z]+)"', file.read_text(encoding="utf-8"))
}


def test_the_page_is_as_the_code_says() -> None:
    assert compliance_page.PAGE.read_text(encoding="utf-8") == compliance_page.page(), "renew it: make docs"


@pytest.mark.parametrize(
    ("standard", "control"), CONTROLS, ids=lambda v: v.reference if isinstance(v, Control) else ""
)
def test_what_a_control_names_exists(standard: Standard, control: Control) -> None:
    assert set(control.policies) <= {policy.name for policy in POLICIES}
    assert set(control.alerts) <= ALERTS
    for path in (*control.tests, *control.documents):
        assert (ROOT / path).is_file(), path
    for path in control.documents:
        assert path.startswith("docs/")


@pytest.mark.parametrize(
    ("standard", "control"), CONTROLS, ids=lambda v: v.reference if isinstance(v, Control) else ""
)
def test_a_control_that_nothing_answers_to_says_so(standard: Standard, control: Control) -> None:
    assert control.covered or control.open


def test_every_anchor_of_soc_2_and_of_the_benchmark_has_its_row() -> None:
    named = {
        anchor for policy in POLICIES for anchor in policy.anchors if anchor.startswith(("SOC2-", "CIS-"))
    }
    rows = {standard.anchor + control.reference for standard, control in CONTROLS if standard.anchor}
    assert named - rows == set()


def test_no_control_is_there_twice() -> None:
    for standard in STANDARDS:
        references = [control.reference for control in standard.controls]
        assert len(references) == len(set(references)), standard.name


def test_what_is_open_is_on_the_page() -> None:
    text = compliance_page.page()
    for _, control in CONTROLS:
        assert control.open in text
    assert "no attestation" in text
