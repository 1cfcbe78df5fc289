"""A stack's objects as the provider would send them, with and without its secrets."""

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.__main__ import main
from simulator.engine.install import engine
from simulator.faults import USAGE, Fault
from simulator.render import HIDDEN, render
from tests.engine.conftest import WriteProgram

pytestmark = pytest.mark.engine

PROGRAM = """
    import pulumi
    import pulumi_kubernetes as kubernetes
    import pulumi_random

    space = kubernetes.core.v1.Namespace("space")
    password = pulumi_random.RandomPassword("password", length=20)
    kubernetes.core.v1.Secret(
        "login",
        metadata={"name": "login", "namespace": space.metadata.name},
        string_data={"user": "web", "password": password.result},
    )
    kubernetes.apiextensions.CustomResource(
        "thing", api_version="example.test/v1", kind="Thing", spec={"sizes": [1, 2], "none": None}
    )
    kubernetes.apps.v1.DeploymentPatch("patch", metadata={"name": "other", "annotations": {"a": "b"}})
"""


@pytest.fixture
def program(write_program: WriteProgram) -> Path:
    return write_program(PROGRAM, {"Pulumi.test.yaml": "config: {}\n"})


def by_kind(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {manifest["kind"]: manifest for manifest in manifests}


def test_objects_are_as_they_would_be_sent(program: Path) -> None:
    found = by_kind(render(program, "test", engine, show_secrets=True))

    assert set(found) == {"Namespace", "Secret", "Thing"}
    space, login, thing = found["Namespace"], found["Secret"], found["Thing"]
    assert space["metadata"]["name"].startswith("space-")
    assert login["metadata"] == {"name": "login", "namespace": space["metadata"]["name"]}
    texts = login.get("stringData") or {k: base64.b64decode(v).decode() for k, v in login["data"].items()}
    assert texts["user"] == "web"
    assert len(texts["password"]) == 20
    assert (thing["apiVersion"], thing["metadata"]["namespace"]) == ("example.test/v1", "default")
    assert thing["spec"]["sizes"] == [1, 2]


def test_what_others_depend_on_comes_first(program: Path) -> None:
    kinds = [manifest["kind"] for manifest in render(program, "test", engine)]

    assert kinds.index("Namespace") < kinds.index("Secret")


def test_the_command_prints_no_secret(program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--stack", "test", "--program", str(program)]) == 0

    login = by_kind(list(yaml.safe_load_all(capsys.readouterr().out)))["Secret"]
    (values,) = [login[key] for key in ("data", "stringData") if key in login]
    assert values == {"user": HIDDEN, "password": HIDDEN}


def test_a_program_that_fails_is_quoted(program: Path) -> None:
    (program / "__main__.py").write_text("raise RuntimeError('no such luck')\n")

    with pytest.raises(Fault, match="no such luck"):
        render(program, "test", engine)


def test_a_stack_that_is_not_there_is_named_at_once(program: Path) -> None:
    def never() -> Path:
        raise AssertionError("the engine was asked for")

    with pytest.raises(Fault, match="a stack of this program \\(test\\)") as caught:
        render(program, "nowhere", never)

    assert caught.value.exit_code == USAGE
