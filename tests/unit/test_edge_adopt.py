"""Taking over a zone that somebody set by hand: what is imported, what collides, what would be lost."""

import copy
import io
import json
import urllib.error
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from settings import adopt_edge
from settings.adopt_edge import Adoption, UnreadableError, adoption, edge_of, fetched, main, read_listing
from tests.recorder import ROOT, record_stack
from tests.unit.test_urns import identities

ZONE = "9409" * 8
LISTING: dict[str, list[dict[str, Any]]] = {
    "dns_records": [
        {"id": "r1", "name": "fixia.app", "type": "A", "content": "203.0.113.10", "proxied": True},
        {"id": "r2", "name": "api.fixia.app", "type": "A", "content": "203.0.113.77", "proxied": False},
        {"id": "r3", "name": "fixia.app", "type": "TXT", "content": '"v=spf1 include:fixia.email -all"'},
        {"id": "r4", "name": "fixia.app", "type": "TXT", "content": '"google-site-verification=x"'},
    ],
    "rulesets": [
        {
            "id": "s1",
            "kind": "zone",
            "phase": "http_request_firewall_custom",
            "rules": [
                {"ref": "0af1", "description": "block the old partner", "action": "block"},
                {"ref": "exploits", "description": "ours", "action": "block"},
            ],
        },
        {"id": "s2", "kind": "managed", "phase": "http_request_firewall_managed"},
        {"id": "s3", "kind": "zone", "phase": "http_request_origin", "rules": []},
    ],
    "healthchecks": [{"id": "h1", "name": "fixia-production"}, {"id": "h2", "name": "other"}],
    "policies": [{"id": "p1", "name": "old alerts"}],
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    file = tmp_path / "zone.json"
    file.write_text(json.dumps(LISTING))
    return file


def compared(listing: dict[str, list[dict[str, Any]]] | None = None) -> Adoption:
    settings, edge = edge_of(ROOT / "Pulumi.production.yaml")
    return adoption(settings, edge, LISTING if listing is None else listing)


def ids(found: Adoption) -> dict[str, str]:
    names = [each["name"] for each in found.resources]
    assert len(set(names)) == len(names)
    return {each["name"]: each["id"] for each in found.resources}


def test_what_there_is_gets_the_ids_that_the_provider_imports_by() -> None:
    found = ids(compared())
    assert found["edge-firewall"] == f"zones/{ZONE}/s1"
    assert found["edge-zone-a"] == f"{ZONE}/r1"
    assert found["edge-api-a"] == f"{ZONE}/r2"
    assert found["edge-ssl"] == f"{ZONE}/ssl"
    assert found["edge-tiered-cache"] == found["edge-paths"] == found["edge-bots"] == ZONE
    assert found["edge-health"] == f"{ZONE}/h1"
    assert sum(value == f"{ZONE}/r3" for value in found.values()) == 1
    assert not any(value.endswith(("/r4", "/s2", "/s3", "/h2")) for value in found.values())


def test_everything_that_is_imported_is_what_the_program_makes() -> None:
    recording = record_stack("production")
    made = {(each.type, each.name) for each in recording.all.values()}
    for each in compared().resources:
        assert (each["type"], each["name"]) in made
    table = compared().file("production")["nameTable"]
    urns = identities(recording)
    for urn in table.values():
        # The engine leaves the stack out of its children's identity; the recorder does not.
        assert f"pulumi:pulumi:Stack${urn.split('::', 2)[2]}" in urns


def test_what_the_first_update_changes_or_takes_away_is_said() -> None:
    said = "\n".join(compared().replaced)
    assert "api.fixia.app A 203.0.113.77 becomes 203.0.113.10" in said
    assert "the rule 'block the old partner' (block) of http_request_firewall_custom goes" in said
    assert "ours" not in said.replace("is not ours", "").replace("beside ours", "")
    assert "the ruleset of http_request_origin is not ours and stays as it is" in said
    assert "'old alerts'" in said


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"name": "ws.fixia.app", "type": "CNAME", "content": "old.example.net"}, "a CNAME stands alone"),
        (
            {"name": "fixia.app", "type": "AAAA", "content": "2001:db8::9"},
            "one address more than the settings know",
        ),
        ({"name": "ftp.fixia.app", "type": "A", "content": "203.0.113.10"}, "shows the origin to everybody"),
    ],
)
def test_what_collides_is_settled_by_hand(record: dict[str, Any], expected: str) -> None:
    listing = copy.deepcopy(LISTING)
    listing["dns_records"].append({"id": "rx", **record})
    assert any(expected in each for each in compared(listing).by_hand)
    assert compared().by_hand == []


def test_an_empty_zone_has_settings_to_import_and_nothing_else() -> None:
    found = ids(compared({}))
    assert all(value == ZONE or value.startswith(f"{ZONE}/") for value in found.values())
    assert not any(name.endswith("-a") for name in found)


def test_the_command_writes_the_file_and_says_the_order(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["--stack", "production", "--listing", str(saved)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["resources"]
    steps = [
        err.index(step)
        for step in ("--target", "pulumi import", "pulumi preview", "pulumi up --stack production\n")
    ]
    assert steps == sorted(steps)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--stack", "production"], "neither a listing nor a token"),
        (["--stack", "local"], "no section `edge`"),
        (["--stack", "nowhere"], "Pulumi.nowhere.yaml"),
        (["--stack", "production", "--listing", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_cannot_be_read_is_one_message(
    arguments: list[str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("CLOUDFLARE_API_TOKEN", raising=False)
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert expected in said


def test_a_listing_of_another_shape_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "zone.json"
    file.write_text('{"result": {"id": "x"}}')
    with pytest.raises(UnreadableError, match="dns_records, rulesets"):
        read_listing(file)


def test_the_api_is_asked_with_the_token_and_for_each_ruleset(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def answer(request: Any, timeout: int) -> io.BytesIO:
        asked.append((request.full_url.removeprefix(adopt_edge.API), request.headers["Authorization"]))
        listed = [{"id": "s1", "kind": "zone"}, {"id": "s2", "kind": "managed"}]
        one = {"id": "s1", "kind": "zone", "phase": "http_ratelimit", "rules": []}
        found = one if request.full_url.endswith("/s1") else listed if "rulesets" in request.full_url else []
        return io.BytesIO(json.dumps({"result": found}).encode())

    monkeypatch.setattr("urllib.request.urlopen", answer)
    _, edge = edge_of(ROOT / "Pulumi.production.yaml")
    listing = fetched(edge, "t" * 40)
    assert [each["id"] for each in listing["rulesets"]] == ["s1"]
    assert {token for _, token in asked} == {f"Bearer {'t' * 40}"}
    assert f"/zones/{ZONE}/rulesets/s2" not in [path for path, _ in asked]


def test_a_refusal_of_the_api_is_told_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(request: Any, timeout: int) -> None:
        raise urllib.error.HTTPError(
            request.full_url, 403, "no", Message(), io.BytesIO(b"Authentication error")
        )

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    _, edge = edge_of(ROOT / "Pulumi.production.yaml")
    with pytest.raises(UnreadableError, match="403 Authentication error") as caught:
        fetched(edge, "t" * 40)
    assert "t" * 40 not in str(caught.value)
