"""Images as a node takes them: the same folders give the same bytes, and they are run as their Dockerfile says."""

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from simulator.faults import USAGE, Fault
from simulator.images.archive import NEWEST, Image, Layer, archived, write
from simulator.images.dockerfile import run_settings
from simulator.images.rootfs import IMAGES
from simulator.node import catalogue
from tests.recorder import ROOT

SETTINGS = {"Entrypoint": ["/program"], "User": "10001:10001"}


def system(folder: Path) -> Path:
    """A small root filesystem with what real ones have."""
    for name in ("bin", "etc", "tmp", "var/log", "var/cache/apt"):
        (folder / name).mkdir(parents=True)
    (folder / "bin" / "program").write_text("#!/bin/sh\n")
    (folder / "bin" / "program").chmod(0o755)
    os.link(folder / "bin" / "program", folder / "bin" / "same")
    (folder / "bin" / "alias").symlink_to("program")
    (folder / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n")
    os.utime(folder / "etc" / "passwd", (1000, 1000))
    (folder / "var" / "log" / "dpkg.log").write_text("today")
    (folder / "var" / "cache" / "apt" / "pkgcache.bin").write_text("cache")
    (folder / "tmp").chmod(0o1777)
    return folder


def image(folder: Path, **more: Any) -> Image:
    return Image(
        name="fixia.local/try:1", identity="one", layers=[Layer(root=folder)], settings=SETTINGS, **more
    )


def layer(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as outer:
        (manifest,) = json.loads(outer.extractfile("manifest.json").read())  # type: ignore[union-attr]
        with tarfile.open(fileobj=outer.extractfile(manifest["Layers"][-1])) as inner:
            return {member.name: member for member in inner.getmembers()}


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for number in (1, 2):
        folder = system(tmp_path / f"root-{number}")
        os.utime(folder / "bin" / "program", (NEWEST + number * 1000,) * 2)
        write(image(folder), tmp_path / f"{number}.tar")
        written.append((tmp_path / f"{number}.tar").read_bytes())

    assert written[0] == written[1]


def test_a_layer_has_what_a_system_is_and_not_what_a_machine_did(tmp_path: Path) -> None:
    write(image(system(tmp_path / "root")), tmp_path / "image.tar")
    members = layer(tmp_path / "image.tar")

    assert {name for name in members if name.startswith("var")} == {"var", "var/log", "var/cache"}
    assert members["bin/program"].mode == 0o755
    assert members["tmp"].mode == 0o1777
    assert members["bin/alias"].linkname == "program"
    assert members["bin/same"].islnk() or members["bin/program"].islnk()
    assert members["etc/passwd"].mtime == 1000
    assert max(member.mtime for member in members.values()) <= NEWEST


def test_single_files_lie_in_folders_that_anybody_may_enter(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("x")
    program.chmod(0o700)
    files = Image(
        name="a:1", identity="x", layers=[Layer(files={"usr/bin/program": program})], settings=SETTINGS
    )
    write(files, tmp_path / "image.tar")
    members = layer(tmp_path / "image.tar")

    assert [*members] == ["usr", "usr/bin", "usr/bin/program"]
    assert {member.mode for member in members.values()} == {0o755}


def test_an_archive_is_made_once_and_anew_when_it_would_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIXIA_CACHE", str(tmp_path / "cache"))
    first = image(system(tmp_path / "root"))
    made = archived(first)
    began = made.stat().st_mtime_ns

    assert archived(first) == made
    assert made.stat().st_mtime_ns == began
    other = archived(Image(name=first.name, identity="two", layers=first.layers, settings=first.settings))
    assert other != made
    assert not made.exists()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in IMAGES.glob("*/Dockerfile")))
def test_every_image_runs_as_its_dockerfile_says(name: str) -> None:
    settings = run_settings(IMAGES / name / "Dockerfile")

    assert settings["User"] == "10001:10001"
    assert settings.get("Entrypoint") or settings.get("Cmd") or name == "backup"
    assert settings["Env"][0].startswith("PATH=")


def test_the_last_stage_counts_with_what_it_is_made_from(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM debian AS base\nWORKDIR /app\nENV A=1\nFROM base AS build\nUSER nobody\n"
        "FROM base\nARG VERSION=dev\nENV B=${VERSION} \\\n    C=3\nEXPOSE 80 81\n"
        '# a comment\nENTRYPOINT ["node", "main.js"]\nCMD ["api"]\n'
    )

    found = run_settings(tmp_path / "Dockerfile")

    assert found["Env"][1:] == ["A=1", "B=dev", "C=3"]
    assert "User" not in found
    assert (found["WorkingDir"], found["Entrypoint"], found["Cmd"]) == ("/app", ["node", "main.js"], ["api"])
    assert found["ExposedPorts"] == {"80/tcp": {}, "81/tcp": {}}


def test_a_command_for_a_shell_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nCMD node main.js\n")

    with pytest.raises(Fault) as caught:
        run_settings(tmp_path / "Dockerfile")

    assert caught.value.exit_code == USAGE
    assert "node main.js" in str(caught.value)


def test_every_image_of_the_local_stack_has_a_source() -> None:
    names = catalogue.named_in(ROOT / "Pulumi.local.yaml")
    known = {catalogue.APPLICATION, *catalogue.SOURCES, *catalogue.ABSENT}

    assert len(names) > 5
    assert [name for name in names if name.rpartition(":")[0] not in known] == []


def test_an_image_of_nobody_is_refused() -> None:
    with pytest.raises(Fault, match="no source of this image") as caught:
        catalogue.image("docker.io/library/nginx:1")

    assert caught.value.exit_code == USAGE


def test_traefiks_stand_in_is_of_the_release_that_the_stack_names() -> None:
    from simulator.programs.registry import PROGRAMS

    (named,) = [name for name in catalogue.named_in(ROOT / "Pulumi.local.yaml") if "library/traefik" in name]
    assert named.endswith(f":v{PROGRAMS['traefik'].version}")
