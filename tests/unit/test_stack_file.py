"""Copies of a stack's file with placeholders instead of what only the owners can decrypt."""

from pathlib import Path

import pytest
import yaml

from simulator.faults import USAGE, Fault
from simulator.stack_file import stacks, with_placeholders

FOREIGN = "v1:AAAA:BBBBBBBB"
STACK = f"""\
secretsprovider: awskms://alias/pulumi
encryptedkey: QUFB
encryptionsalt: v1:abc=:v1:def:ghi=
config:
  fixia:secrets:
    sentry-dsn:
      value:
        secure: {FOREIGN}
      owner: web
  fixia:tokens:
    - name: one
      token: {{secure: {FOREIGN}}}
    - plain
  fixia:password:
    secure: {FOREIGN}
  fixia:replicas: 3
  fixia:ratio: 1e3
  fixia:mode: 0755
  fixia:version: "1.10"
  fixia:enabled: true
  fixia:note: |
    two
    lines
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "Pulumi.staging.yaml"
    file.write_text(STACK, encoding="utf-8")
    return file


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copy.yaml"


def test_every_encrypted_value_is_replaced_at_any_depth(source: Path, target: Path) -> None:
    assert with_placeholders(source, target) == [
        "fixia:secrets.sentry-dsn.value",
        "fixia:tokens[0].token",
        "fixia:password",
    ]
    text = target.read_text(encoding="utf-8")
    assert FOREIGN not in text
    config = yaml.safe_load(text)["config"]
    assert config["fixia:password"] == config["fixia:tokens"][0]["token"]
    assert set(config["fixia:password"]) == {"secure"}


def test_everything_else_keeps_its_key_its_type_and_its_spelling(source: Path, target: Path) -> None:
    with_placeholders(source, target)
    lines = target.read_text(encoding="utf-8").splitlines()
    for line in ("fixia:replicas: 3", "fixia:ratio: 1e3", "fixia:mode: 0755", 'fixia:version: "1.10"'):
        assert f"  {line}" in lines
    config = yaml.safe_load(target.read_text(encoding="utf-8"))["config"]
    assert config["fixia:enabled"] is True
    assert config["fixia:note"] == "two\nlines\n"
    assert config["fixia:secrets"]["sentry-dsn"]["owner"] == "web"
    assert list(config) == list(yaml.safe_load(STACK)["config"])


def test_the_stacks_own_encryption_is_left_out(source: Path, target: Path) -> None:
    with_placeholders(source, target)
    copy = yaml.safe_load(target.read_text(encoding="utf-8"))
    assert set(copy) == {"encryptionsalt", "config"}
    assert copy["encryptionsalt"] != "v1:abc=:v1:def:ghi="


def test_the_original_is_not_touched(source: Path, target: Path) -> None:
    with_placeholders(source, target)
    assert source.read_text(encoding="utf-8") == STACK


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "config:\n", "config: {}\n", "{config: {a:b: 1}}\n"])
def test_a_file_without_secrets(source: Path, target: Path, text: str) -> None:
    source.write_text(text, encoding="utf-8")
    assert with_placeholders(source, target) == []
    before, after = (yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in (source, target))
    assert after.get("config") == before.get("config")


def test_a_setting_that_is_only_called_secure_is_not_a_secret(source: Path, target: Path) -> None:
    source.write_text("config:\n  fixia:tls:\n    secure: yes\n    port: 443\n", encoding="utf-8")
    assert with_placeholders(source, target) == []
    assert "secure: yes" in target.read_text(encoding="utf-8")


def test_an_alias_of_a_secret_is_replaced_too(source: Path, target: Path) -> None:
    text = f"config:\n  a:one: &same\n    secure: {FOREIGN}\n  a:two: *same\n"
    source.write_text(text, encoding="utf-8")
    assert with_placeholders(source, target) == ["a:one", "a:two"]
    assert FOREIGN not in target.read_text(encoding="utf-8")


def test_a_missing_file_names_the_stacks_that_exist(source: Path, target: Path) -> None:
    (source.parent / "Pulumi.yaml").touch()
    (source.parent / "Pulumi.production.yaml").touch()
    assert stacks(source.parent) == ["production", "staging"]
    with pytest.raises(Fault, match=r"Pulumi\.stagign\.yaml(?s:.*)\(production, staging\)") as caught:
        with_placeholders(source.with_name("Pulumi.stagign.yaml"), target)
    assert caught.value.exit_code == USAGE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("config:\n  a: [1\n  b: 2\n", r"Pulumi\.staging\.yaml:3:4: broken YAML"),
        ("config:\n\ta: 1\n", r"Pulumi\.staging\.yaml:2:1: broken YAML"),
        ("- config\n", r"Pulumi\.staging\.yaml:1: a seq where a mapping is expected"),
        ("\n\njust text\n", r"Pulumi\.staging\.yaml:3: a str where a mapping is expected"),
        ("config: \x00\n", r"Pulumi\.staging\.yaml: broken YAML"),
        (
            "config:\n  a: 1\nconfig:\n  a: 2\n",
            r"\.yaml:3: the key 'config' for the second time(?s:.*)line 1",
        ),
        (
            "config:\n  a: {b: 1}\n  c: 1\n  a: {}\n",
            r"\.yaml:4: the key 'a' for the second time(?s:.*)line 2",
        ),
        ("config:\n  l:\n  - a: 1\n    b: 2\n    'a': 3\n", r"\.yaml:5: the key 'a' for the second time"),
        ("config: {a: 1, a: 2}\n", r"\.yaml:1: the key 'a' for the second time"),
    ],
)
def test_a_broken_file_is_a_fault_that_says_where(source: Path, target: Path, text: str, says: str) -> None:
    source.write_text(text, encoding="utf-8")
    with pytest.raises(Fault, match=says) as caught:
        with_placeholders(source, target)
    assert caught.value.exit_code == USAGE
    assert not target.exists()


def test_one_key_in_two_mappings_is_none_too_many(source: Path, target: Path) -> None:
    text = "config:\n  a: &same {b: {b: 1}}\n  c: *same\n  d: *same\n  1: x\n  '1': y\n"
    source.write_text(text, encoding="utf-8")
    assert with_placeholders(source, target) == []
    assert yaml.safe_load(target.read_text())["config"]["d"] == {"b": {"b": 1}}
