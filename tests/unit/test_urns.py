"""No resource changes its identity by accident: a lost URN is a deletion and a creation in production."""

from tests.recorder import ROOT, Recording

RECORDED = ROOT / "tests" / "unit" / "data" / "production-urns.txt"


def identities(recording: Recording) -> set[str]:
    """What the engine knows a resource by, without the stack and project: the types of its parents, its name."""
    return {"::".join(urn.split("::")[2:]) for urn in recording.all}


def test_no_resource_of_production_has_lost_its_identity(recordings: dict[str, Recording]) -> None:
    lost = set(RECORDED.read_text().split()) - identities(recordings["production"])
    assert not lost, (
        f"{sorted(lost)} would be deleted. If that is meant, take them out of {RECORDED.relative_to(ROOT)}; "
        "if they were renamed or moved, give them an alias and list them under Moves in CHANGELOG.md"
    )


def test_every_resource_of_production_is_recorded(recordings: dict[str, Recording]) -> None:
    new = identities(recordings["production"]) - set(RECORDED.read_text().split())
    assert not new, f"add to {RECORDED.relative_to(ROOT)}, so that they are kept from now on: {sorted(new)}"
