import io
import os
import socket
import stat
import sys
import time
from pathlib import Path

import pytest
from semver import VersionInfo

from simulator.engine import download, release
from simulator.engine.install import engine
from simulator.faults import Fault
from simulator.golang import build
from simulator.progress import Progress, Step


@pytest.fixture
def quiet() -> Progress:
    return Progress(io.StringIO())


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No pulumi on PATH, and a cache of the test's own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("FIXIA_CACHE", str(tmp_path / "cache"))


def test_an_operating_system_that_is_not_supported(monkeypatch: pytest.MonkeyPatch, quiet: Progress) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(Fault, match=r"win32.*\n.*Linux or macOS\n.*WSL"):
        engine(quiet)


def a_download(says: str) -> object:
    def download_(version: VersionInfo, work: Path, env: dict[str, str], step: Step) -> Path:
        binary = work / "bin" / "pulumi"
        binary.parent.mkdir()
        binary.write_text(f"#!/bin/sh\necho {says}\n")
        binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
        return binary

    return download_


def test_the_makers_download_is_kept_alone(monkeypatch: pytest.MonkeyPatch, quiet: Progress) -> None:
    monkeypatch.setattr(download, "download", a_download(f"v{release.pinned()}"))

    path = engine(quiet)

    assert sorted(entry.name for entry in path.parent.iterdir()) == ["lock", "pulumi"]
    assert os.access(path, os.X_OK)


def test_a_download_that_will_not_do_is_followed_by_a_build(
    monkeypatch: pytest.MonkeyPatch, quiet: Progress
) -> None:
    class BuildingError(Exception):
        pass

    def building(*_: object) -> Path:
        raise BuildingError

    monkeypatch.setattr(download, "download", a_download("v1.0.0"))
    monkeypatch.setattr(build, "build", building)

    with pytest.raises(BuildingError):
        engine(quiet)


def test_a_host_that_never_answers_is_given_up_on_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes the connection and says nothing
        address = f"http://127.0.0.1:{server.getsockname()[1]}/install.sh"
        monkeypatch.setattr(download, "installer", lambda: address)
        began = time.monotonic()

        with pytest.raises(download.Unavailable, match="no answer within 1 seconds"):
            download.download(release.pinned(), tmp_path, dict(os.environ), Step(""))

    assert time.monotonic() - began < 30


def test_an_sdk_that_no_longer_says_where_its_installer_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspect.getsource", lambda _: "class PulumiCommand: ...")

    with pytest.raises(download.Unavailable, match="does not say"):
        download.installer()
