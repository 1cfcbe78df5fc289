"""Root filesystems on machines that have, or lack, each thing that they are made with."""

import io
import os
import re
import threading
from pathlib import Path

import pytest

from simulator.faults import MACHINE, USAGE, Fault
from simulator.images import debian
from simulator.images.rootfs import IMAGES, root_filesystem
from simulator.progress import Progress
from tests.artifact.fakes import script

FOLDERS = sorted(path.parent for path in IMAGES.glob("*/packages.txt"))
MAKE = """\
echo "$*" >> {notes}
while [ "$1" != trixie ]; do shift; done
mkdir -p "$2/etc"
ln -s /etc/hostname "$2/etc/link"
"""


class Machine:
    """A machine with nothing on PATH but what a test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.images, self.cache, self.notes = (
            folder / name for name in ("bin", "images", "cache", "notes")
        )
        for place in (self.bin, self.images / "web"):
            place.mkdir(parents=True)
        (self.images / "web" / "packages.txt").write_text("nginx\nca-certificates\n")
        for tool in ("sh", "mkdir", "ln", "cp"):
            (self.bin / tool).symlink_to(f"/bin/{tool}")
        script(self.bin / "unshare", 'shift\nexec "$@"\n')
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv("FIXIA_CACHE", str(self.cache))
        monkeypatch.setenv(debian.MIRROR_SETTING, "https://mirror.example.invalid/debian")
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        self.told = io.StringIO()

    def mmdebstrap(self, body: str = MAKE) -> None:
        script(self.bin / "mmdebstrap", body.replace("{notes}", str(self.notes)))

    def make(self) -> Path:
        return root_filesystem("web", Progress(self.told), images=self.images)

    @property
    def made(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def fault(self, exit_code: int, *parts: str) -> None:
        """Make it, expecting one message with these parts, and nothing left behind."""
        with pytest.raises(Fault) as caught:
            self.make()
        assert caught.value.exit_code == exit_code
        for part in parts:
            assert part in str(caught.value)
        if self.cache.exists():
            assert [path.name for path in (self.cache / "images").iterdir() if path.name != "lock"] == []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_it_is_made_once_and_kept(machine: Machine) -> None:
    machine.mmdebstrap()
    made = machine.make()
    assert made.parent == machine.cache / "images"
    assert re.fullmatch("web-[0-9a-f]{12}", made.name)
    assert sorted(path.name for path in made.parent.iterdir()) == ["lock", made.name]
    (command,) = machine.made
    assert "--include=nginx,ca-certificates" in command
    assert command.endswith("deb https://mirror.example.invalid/debian trixie main")

    (machine.bin / "mmdebstrap").unlink()
    machine.told.truncate(0)
    assert machine.make() == made
    assert machine.told.getvalue().strip("\0") == ""


def test_it_is_made_anew_when_the_image_changes(machine: Machine) -> None:
    machine.mmdebstrap()
    source = machine.images / "web"
    made = {machine.make()}
    (source / "packages.txt").write_text("ca-certificates\nnginx\n")
    assert {machine.make()} == made  # the order says nothing
    (source / "packages.txt").write_text("ca-certificates\n")
    made.add(machine.make())
    (source / "rootfs" / "etc").mkdir(parents=True)
    file = source / "rootfs" / "etc" / "web.conf"
    for change in (
        lambda: file.write_text("one"),
        lambda: file.write_text("two"),
        lambda: file.chmod(0o755),
        lambda: file.with_name("alias").symlink_to("web.conf"),
    ):
        change()
        made.add(machine.make())
    assert len(made) == 6
    assert len(machine.made) == 6


def test_its_own_files_lie_over_the_packages_and_never_reach_the_machine(machine: Machine) -> None:
    """The packages bring a link out of the root filesystem, in the place of one of the files."""
    machine.mmdebstrap()
    files = machine.images / "web" / "rootfs" / "etc"
    files.mkdir(parents=True)
    (files / "link").write_text("ours")
    (files / "run.sh").write_text("#!/bin/sh\n")
    (files / "run.sh").chmod(0o755)
    made = machine.make()
    assert not (made / "etc" / "link").is_symlink()
    assert (made / "etc" / "link").read_text() == "ours"
    assert (made / "etc" / "run.sh").stat().st_mode & 0o777 == 0o755


def test_two_that_ask_at_once_wait_for_one(machine: Machine) -> None:
    machine.mmdebstrap(MAKE + "read waited < {notes}.gate\n")
    gate = Path(f"{machine.notes}.gate")
    os.mkfifo(gate)
    made: list[Path] = []
    asking = [threading.Thread(target=lambda: made.append(machine.make())) for _ in range(2)]
    for each in asking:
        each.start()
    gate.write_text("go\n")  # returns once the one that makes it is there
    for each in asking:
        each.join(30)
    assert len(made) == 2
    assert len(set(made)) == len(machine.made) == 1


def test_what_a_killed_run_left_is_removed(machine: Machine) -> None:
    machine.mmdebstrap()
    left = machine.cache / "images" / "work-left" / "root"
    left.mkdir(parents=True)
    machine.make()
    assert not left.parent.exists()


def test_an_unknown_image(machine: Machine) -> None:
    with pytest.raises(Fault, match=r"nothing/packages\.txt: there is no such file") as caught:
        root_filesystem("nothing", images=machine.images)
    assert caught.value.exit_code == USAGE


def test_no_root(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    machine.fault(MACHINE, "this user may not make or enter one", "sudo")


def test_no_mmdebstrap(machine: Machine) -> None:
    machine.fault(MACHINE, "PATH has none", "apt-get install mmdebstrap")


def test_mmdebstrap_is_installed_where_apt_can(machine: Machine) -> None:
    machine.mmdebstrap()
    (machine.bin / "mmdebstrap").rename(machine.bin / "packaged")
    script(
        machine.bin / "apt-get",
        f'[ "$1" = update ] && : > {machine.cache}/updated\n'
        f'[ "$1" = install ] && [ -e {machine.cache}/updated ] && ln -s packaged {machine.bin}/mmdebstrap\n',
    )
    assert machine.make().is_dir()
    assert "installing mmdebstrap" in machine.told.getvalue()


def test_apt_has_no_mmdebstrap(machine: Machine) -> None:
    script(machine.bin / "apt-get", 'echo "E: Unable to locate package mmdebstrap" >&2; exit 100\n')
    machine.fault(MACHINE, "and apt-get gave none", "E: Unable to locate package mmdebstrap")


@pytest.mark.parametrize(
    ("said", "exit_code", "parts"),
    [
        (
            "E: Failed to fetch x  Could not connect to y",
            MACHINE,
            ("the Debian mirror", debian.MIRROR_SETTING),
        ),
        ("E: Unable to locate package nginxx", USAGE, ("packages.txt", "nginxx")),
        ("tar: ./usr: No space left on device", MACHINE, ("the disk is full", "FIXIA_CACHE")),
        ("E: something else", MACHINE, ("mmdebstrap: it failed (exit code 25)", "E: something else")),
    ],
)
def test_what_mmdebstrap_fails_of(
    machine: Machine, said: str, exit_code: int, parts: tuple[str, ...]
) -> None:
    machine.mmdebstrap(MAKE + f"echo '{said}' >&2\nexit 25\n")
    machine.fault(exit_code, *parts)


def test_the_mirror_is_the_machines_own(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's alone, by their codenames, also before the first update when apt knows of none."""
    monkeypatch.delenv(debian.MIRROR_SETTING)
    machine.mmdebstrap()
    updated = machine.bin / "updated"
    lines = [
        "Debian main bookworm http://near.example/debian/",
        "Debian contrib bookworm http://near.example/debian/",
        "Debian main bookworm-security http://near.example/security/",
        "Debian main bookworm-backports http://near.example/debian/",
        "Other main bookworm http://other.example/debian/",
    ]
    printed = "\n".join(f"echo '{line}'" for line in lines)
    script(
        machine.bin / "apt-get",
        f'[ "$1" = update ] && : > {updated}\n[ "$1" = indextargets ] && [ -e {updated} ] || exit 0\n{printed}\n',
    )
    machine.make()
    assert machine.made[0].endswith(
        "deb http://near.example/debian/ trixie main deb http://near.example/security/ trixie-security main"
    )


def test_no_mirror(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(debian.MIRROR_SETTING)
    machine.mmdebstrap()
    machine.fault(MACHINE, "they name no archive of Debian's", debian.MIRROR_SETTING)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_dockerfile_makes_the_same_system(folder: Path) -> None:
    dockerfile = (folder / "Dockerfile").read_text()
    assert re.match(rf"FROM debian:{debian.SUITE}-slim( AS \w+)?\n", dockerfile)
    assert re.search(r"^COPY packages\.txt ", dockerfile, re.MULTILINE)
    assert re.search(r"xargs -a \S+ apt-get install --yes --no-install-recommends", dockerfile)
    assert re.search(r"^COPY rootfs/ /$", dockerfile, re.MULTILINE) or not (folder / "rootfs").exists()
    assert re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)[-1] == "10001:10001"
    packages = (folder / "packages.txt").read_text().splitlines()
    assert packages == sorted(set(packages))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", package) for package in packages)
