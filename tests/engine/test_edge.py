"""The edge through the real engine: up, nothing to change after, edits, what is refused, what stays secret."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from settings.adopt_edge import adoption, edge_of
from simulator.session import Session
from tests.engine.platform import Config, Platform, config, operations, program_copy, without
from tests.recorder import ROOT

pytestmark = pytest.mark.engine

CLOUDFLARE = "cloudflare:index/"


def alone(stack: str = "staging") -> Config:
    """A stack that keeps nothing and is watched by nobody, so that it is soon there: what its edge is made of."""
    settings = without(config(stack), "monitoring", "backup", "database", "cache", "release")
    for workload in settings["fixia:workloads"].values():
        workload["talksTo"] = []
    settings["fixia:edge"].get("access", {}).pop("consoles", None)
    return settings


@pytest.fixture(scope="module", params=["staging", "production"])
def deployed(
    engine: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Platform]:
    """A stack with an edge, up: one on the free plan, one on pro. Tests only preview edits of it."""
    with Session(engine) as session:
        made = Platform(session, tmp_path_factory.mktemp(request.param), stack=request.param)
        session.init(made.stack, made.program)
        done, _ = made.run("up", alone(request.param))
        assert done.returncode == 0, made.output
        yield made


def edge(settings: Config) -> dict[str, Any]:
    found: dict[str, Any] = settings["fixia:edge"]
    return found


def edited(platform: Platform, change: Callable[[dict[str, Any]], Any]) -> Config:
    settings = alone(platform.stack)
    change(edge(settings))
    return settings


def test_after_up_there_is_nothing_to_change(deployed: Platform) -> None:
    done, report = deployed.run("preview", alone(deployed.stack), "--expect-no-changes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert operations(report) == {}


def test_a_refresh_finds_what_was_made(deployed: Platform) -> None:
    done, report = deployed.run("preview", alone(deployed.stack), "--refresh", "--expect-no-changes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(operations(report).values()) == {"refresh"}


def test_the_token_and_the_keys_are_nowhere_in_plain_text(deployed: Platform) -> None:
    state = json.dumps(deployed.state())
    for text in (state, deployed.output):
        assert "PRIVATE KEY" not in text
        assert "placeholder-not-a-real-secret" not in text
    cloud = "".join(file.read_text() for file in deployed.session.cloud.rglob("*.json"))
    assert "PRIVATE KEY" not in cloud


def test_the_entrance_asks_for_the_certificate_that_the_edge_shows(deployed: Platform) -> None:
    resources = {each["urn"].split("::")[-1]: each for each in deployed.state("--show-secrets")}
    secret = plain(resources["origin-pulls-authority-secret"]["inputs"]["stringData"])
    shown = plain(resources["origin-pulls-at-the-edge"]["inputs"]["certificate"])
    authority = x509.load_pem_x509_certificate(plain(secret["ca.crt"]).encode())
    x509.load_pem_x509_certificate(shown.encode()).verify_directly_issued_by(authority)
    deployment = resources["entrance-deployment"]["inputs"]
    name = resources["origin-pulls-authority-secret"]["outputs"]["metadata"]["name"]
    assert name in json.dumps(deployment)
    assert "origin-pulls-settings" in json.dumps(resources["origin-pulls-authority-secret"]["dependencies"])


def plain(value: Any) -> Any:
    """What a secret of the engine's export holds; anything else as it is."""
    if isinstance(value, dict) and "plaintext" in value:
        return json.loads(value["plaintext"])
    return value


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda edge: edge.update(origin=["203.0.113.99"]),
            {f"edge-{name}-a" for name in ("api", "ws", "zone")},
        ),
        (lambda edge: edge["access"].update(blockedCountries=["KP"]), {"edge-firewall"}),
        (lambda edge: edge.setdefault("rateLimits", {}).update(requestsPerMinute=600), {"edge-rates"}),
        (lambda edge: edge.update(floodSensitivity="medium"), {"edge-floods"}),
        (lambda edge: edge.update(assets=["/assets/", "/_next/static/"]), {"edge-cache"}),
        (lambda edge: edge.update(hsts={"preload": True}), {"edge-security-header"}),
    ],
    ids=["origin", "countries", "rate", "floods", "assets", "preload"],
)
def test_an_edit_changes_in_place_what_it_is_about(
    deployed: Platform, change: Callable[[dict[str, Any]], Any], expected: set[str]
) -> None:
    done, report = deployed.run("preview", edited(deployed, change))
    assert done.returncode == 0, done.stdout + done.stderr
    assert operations(report) == dict.fromkeys(expected, "update")


def test_maintenance_and_back(deployed: Platform) -> None:
    done, report = deployed.run("preview", edited(deployed, lambda edge: edge.update(maintenance=True)))
    assert done.returncode == 0, done.stdout + done.stderr
    made = {
        "staging": {"edge-firewall": "update"},
        "production": {"edge-maintenance": "create", "edge-maintenance-rules": "create"},
    }
    assert operations(report) == made[deployed.stack]


def test_a_downgrade_is_refused_with_what_the_lesser_plan_has(deployed: Platform) -> None:
    if deployed.stack == "staging":
        pytest.skip("the free plan has nothing below it")
    done, _ = deployed.run("preview", edited(deployed, lambda edge: edge.update(plan="free")))
    said = done.stdout + done.stderr
    assert done.returncode != 0
    for path in ("edge.owasp", "edge.healthCheck", "edge.rateLimits.loginPerMinute"):
        assert f"fixia:{path}" in said
    assert "Free Managed Ruleset" in said
    assert "Traceback" not in said


def test_a_zone_of_a_lesser_plan_refuses_what_the_settings_believe(deployed: Platform) -> None:
    """The plan in the settings is what somebody believes; the zone's own is what is paid for."""
    if deployed.stack == "staging":
        pytest.skip("the free plan has nothing below it")
    done, _ = deployed.run("preview", edited(deployed, lambda edge: edge["zone"].update(id="f4ee" * 8)))
    said = done.stdout + done.stderr
    assert done.returncode != 0
    # Whichever the engine asks about first ends the preview.
    assert "the plan free" in said


def test_the_outputs_tell_what_the_plan_cannot_and_what_stays(deployed: Platform) -> None:
    (elsewhere,) = (deployed.session.folder / "projects").iterdir()
    done = deployed.session.pulumi(
        "stack", "output", "--json", "--stack", deployed.stack, program=elsewhere, capture=True
    )
    told = json.loads(done.stdout)["edge"]
    assert told["plan"] == {"staging": "free", "production": "pro"}[deployed.stack]
    assert any("166 in 10 s" in note for note in told["notes"]) is (deployed.stack == "staging")
    assert "zone setting ssl" in told["leftBehind"]


def test_what_stands_at_cloudflare_already_is_adopted_and_not_made_again(
    session: Session, tmp_path: Path
) -> None:
    """A zone that somebody else's tool made: Pulumi forgets it, Cloudflare keeps it, the import finds it."""
    platform = Platform(session, tmp_path)
    session.init(platform.stack, platform.program)
    platform.run("up", alone())
    before = {each["urn"]: each for each in platform.state()}
    (elsewhere,) = (session.folder / "projects").iterdir()
    stack = ("--stack", platform.stack)
    (ruleset,) = [urn for urn in before if urn.endswith("::edge-firewall")]
    # With all that waits for it: the records.
    session.pulumi("state", "delete", ruleset, "--target-dependents", "--yes", *stack, program=elsewhere)
    forgotten = [before[urn] for urn in before.keys() - {each["urn"] for each in platform.state()}]
    listing = {
        "rulesets": [
            {"id": each["id"], "kind": "zone", "phase": each["inputs"]["phase"]}
            for each in forgotten
            if "Ruleset" in each["type"]
        ],
        "dns_records": [
            {"id": each["id"], **each["inputs"]} for each in forgotten if "DnsRecord" in each["type"]
        ],
    }
    assert listing["rulesets"]
    assert listing["dns_records"]
    settings, edge = edge_of(ROOT / f"Pulumi.{platform.stack}.yaml")
    found = adoption(settings, edge, listing)
    names = {each["urn"].split("::")[-1] for each in forgotten}
    found.resources = [each for each in found.resources if each["name"] in names]
    file = tmp_path / "adopt.json"
    file.write_text(json.dumps(found.file(platform.stack)))
    options = ("--generate-code=false", "--protect=false", "--yes", "--skip-preview")
    done = session.pulumi("import", "--file", str(file), *options, *stack, program=elsewhere, capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    done, report = platform.run("preview", None, "--expect-no-changes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert operations(report) == {}


def test_a_broken_expression_in_the_code_is_found_before_anything_is_sent(
    session: Session, tmp_path: Path
) -> None:
    platform = Platform(session, tmp_path)
    session.init(platform.stack, platform.program)
    program = program_copy(tmp_path / "broken")
    file = program / "components" / "edge" / "cloudflare.py"
    whole = file.read_text()
    file.write_text(
        whole.replace("expression=str(rule.expression)", "expression=str(rule.expression) + ' and'")
    )
    assert file.read_text() != whole
    done, _ = platform.run("preview", alone(), program=program)
    assert done.returncode != 0
    assert "rules[0].expression" in done.stdout + done.stderr


def test_destroy_takes_away_all_that_can_be(session: Session, tmp_path: Path) -> None:
    platform = Platform(session, tmp_path)
    session.init(platform.stack, platform.program)
    platform.run("up", alone())
    assert any(CLOUDFLARE in each["type"] for each in platform.state())
    done, _ = platform.run("destroy")
    assert done.returncode == 0, platform.output
    assert platform.state() == []
