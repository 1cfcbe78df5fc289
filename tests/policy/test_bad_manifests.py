"""Manifests with one deliberate fault each: the pack finds it, and nothing in the good ones."""

from pathlib import Path

import pytest

from baseline.exemptions import Ledger
from baseline.offline import read_manifests, run
from baseline.pack import POLICIES
from tests.recorder import ROOT

BAD = ROOT / "tests" / "policy" / "bad"
FAULTS = sorted(one for one in BAD.glob("*.yaml") if one.name != "good.yaml")


def test_good_manifests_are_good() -> None:
    assert list(run(POLICIES, read_manifests(BAD / "good.yaml"), {}, Ledger())) == []


@pytest.mark.parametrize("file", FAULTS, ids=lambda file: file.stem)
def test_fault_is_found(file: Path) -> None:
    found = list(run(POLICIES, read_manifests(file), {}, Ledger()))
    assert [one for one in found if one.level == "mandatory"] != []
    assert [one for one in found if one.level == "undecided"] == []
