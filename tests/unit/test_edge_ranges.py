"""Cloudflare's ranges, compared to those that the entrance lets in."""

import json
from pathlib import Path

import pytest

from settings.edge_ranges import drift, main, published
from settings.entrance import CLOUDFLARE
from simulator.providers.cloudflare import IPV4_RANGES, IPV6_RANGES


def saved(folder: Path, ranges: list[str]) -> Path:
    file = folder / "ips.json"
    v4 = [each for each in ranges if ":" not in each]
    v6 = [each for each in ranges if ":" in each]
    file.write_text(json.dumps({"success": True, "result": {"ipv4_cidrs": v4, "ipv6_cidrs": v6}}))
    return file


def test_the_entrance_lets_in_what_the_simulated_cloudflare_calls_from() -> None:
    assert list(drift(CLOUDFLARE, [*IPV4_RANGES, *IPV6_RANGES])) == []


def test_no_drift_is_no_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listing", str(saved(tmp_path, list(CLOUDFLARE)))]) == 0
    assert capsys.readouterr().out == ""


def test_both_ways_of_drift_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listing", str(saved(tmp_path, ["192.0.2.0/24", *CLOUDFLARE[1:]]))]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "settings/entrance.py: 192.0.2.0/24 is new: add it, or requests from there are refused",
        f"settings/entrance.py: {CLOUDFLARE[0]} is Cloudflare's no more: take it out, or somebody else is let in",
    ]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"result": {"ipv4_cidrs": []}}', '{"result": "no"}'])
def test_what_is_no_answer_is_one_message(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "ips.json"
    file.write_text(text)
    assert main(["--listing", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {file}: ")


def test_an_answer_without_ranges_is_never_taken_for_all_gone() -> None:
    with pytest.raises(ValueError, match="ipv4_cidrs"):
        published({"result": {}})
