"""A stranger's first hour: the guide's own commands, one after the other, in a fresh clone and with an empty home."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from simulator import cache
from tests.doc_commands import blocks
from tests.recorder import ROOT
from tests.tree import committed, copied

pytestmark = [pytest.mark.engine, pytest.mark.heavy]

GUIDE = ROOT / "docs/guides/first-hour.md"
PREVIEW, CHANGE, NODE, ACCOUNT = blocks(GUIDE)
"""The first two are typed here; `NODE` by tests/cluster/test_platform.py; `ACCOUNT` wants one."""
STACK = "Pulumi.staging.yaml"
PATIENCE_SECONDS = 1200


@dataclass(frozen=True)
class Stranger:
    """Somebody who has nothing but a clone.

    Attributes:
        clone: its top folder.
        home: an empty one.
    """

    clone: Path
    home: Path

    def types(self, command: str) -> tuple[int, str]:
        """The exit code, and what there is to read."""
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.home), "FIXIA_CACHE": str(cache.root())}
        # A registry that this machine is told of is no part of what a stranger lacks.
        kept |= {
            name: value for name, value in os.environ.items() if name.lower().endswith(("_proxy", "_url"))
        }
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=self.clone,
            env=kept,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    def edits(self, before: str, after: str) -> None:
        """Changes the one place in the stack's file."""
        file = self.clone / STACK
        text = file.read_text(encoding="utf-8")
        place = text.index("    api:\n", text.index("fixia:workloads:"))
        assert before in text[place : place + 600]
        file.write_text(text[:place] + text[place:].replace(before, after, 1), encoding="utf-8")

    def comment(self) -> str:
        return (self.clone / "build/comment-staging.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def stranger(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    assert engine.exists()  # what a machine has got once need not be got again for a test
    clone, home = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("home")
    return Stranger(committed(copied(clone)), home)


def test_nothing_but_the_page_is_needed(stranger: Stranger) -> None:
    """In one test, since each step stands on the one before it."""
    assert [line.strip() for line in PREVIEW.splitlines()] == ["make preview"]
    code, said = stranger.types(PREVIEW)
    assert code == 0, said
    assert re.search(r"\+ \d+ to create", said)
    assert "report: build/preview-staging.md" in said
    assert (stranger.clone / "build/preview-staging.md").is_file()

    told = GUIDE.read_text(encoding="utf-8")
    assert "raise `max` in `autoscaling` from 3 to 4" in told
    stranger.edits("max: 3", "max: 4")
    for line in CHANGE.splitlines():
        code, said = stranger.types(line)
        assert code == 0, f"{line}: {said}"
        if "delivery.gate" in line:
            assert "stack staging may go on" in said
        elif "delivery.cost" in line:
            assert re.search(r"\d", said)
    assert "The comment names two updates, `api-autoscaler` with what it costs and `deployed-facts`" in told
    assert "\n2 to update, " in stranger.comment()
    for name in ("api-autoscaler", "deployed-facts"):
        assert f"`{name}`" in stranger.comment()

    assert "write `min: 0` in the same place" in told
    stranger.edits("min: 1", "min: 0")
    code, said = stranger.types(CHANGE.splitlines()[0])
    assert code != 0
    assert "Traceback" not in said
    assert "api.autoscaling.min" in stranger.comment()
    (gate,) = [line for line in CHANGE.splitlines() if "delivery.gate" in line]
    assert stranger.types(gate)[0] == 1

    assert "Undo it: `git checkout Pulumi.staging.yaml`" in told
    assert stranger.types("git checkout Pulumi.staging.yaml")[0] == 0
    assert stranger.types("git status --porcelain") == (0, "")
