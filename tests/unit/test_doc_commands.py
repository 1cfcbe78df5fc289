"""Every command that the README, the guides and the checklists tell to type is run by a test, or it is said why not.

A new command fails here until it has its row: in `HERE` if a second is enough, in `TESTED` with the test that runs the
same program with the same options, or in `ELSEWHERE` with what it needs that no test has.
"""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Final, Literal, get_args

import pytest

from tests.recorder import ROOT

PAGES: Final = (
    ROOT / "README.md",
    *sorted((ROOT / "docs/guides").glob("*.md")),
    *sorted((ROOT / "docs/runbooks").glob("checklist-*.md")),
)
PROGRAMS: Final = (
    "make",
    "pulumi",
    "kubectl",
    "docker",
    "git",
    "cp",
    "cat",
    "curl",
    "export",
    "pg_dump",
    ".venv/bin/python",
    "(umask",
)
"""What a command begins with; in running text, a bare name of one of these is no command."""

HERE: Final = (
    "make help",
    "make promote",
    "make secrets",
    "make cost",
    "cp Pulumi.staging.yaml Pulumi.dev.yaml",
    "cp policies/levels.staging.json policies/levels.dev.json",
    "cat build/comment-staging.md",
    "git checkout Pulumi.staging.yaml",
    ".venv/bin/python -m delivery.promote --check",
    ".venv/bin/python -m delivery.secrets --stack dev",
    ".venv/bin/python -m delivery.secrets --stack staging",
    ".venv/bin/python -m delivery.secrets --stack production",
    ".venv/bin/python -m delivery.cost --stack staging",
    ".venv/bin/python -m delivery.cost --stack production",
    ".venv/bin/python -m delivery.gate --stack staging",
)
"""Run below, as they stand on the page, in a clone with a recorded review of each stack."""

DEPLOY: Final = "tests/engine/test_delivery_deploy.py"
REVIEW: Final = "tests/engine/test_delivery_review.py::test_a_change_is_told_priced_and_held_if_it_loses_data"
PREVIEW: Final = "tests/engine/test_preview.py::test_a_preview_writes_its_report_and_names_the_placeholders"
WAY_BACK: Final = (
    f"{DEPLOY}::test_a_release_that_fails_its_smoke_test_leaves_the_old_version_and_can_be_taken_back"
)
DRIFT: Final = f"{DEPLOY}::test_what_is_changed_by_hand_is_found_told_and_taken_back"
TESTED: Final = {
    r"make pictures": "tests/artifact/test_pictures.py::test_they_are_current",
    r"make preview(?: STACK=(?:production|dev))?": PREVIEW,
    r"make preview(?: STACK=production)? BASE=main": (
        "tests/engine/test_preview.py::test_a_base_makes_the_preview_show_what_changed_since"
    ),
    r"make review(?: STACK=production)?": REVIEW,
    r"\.venv/bin/python -m delivery\.review --stack staging --base HEAD": REVIEW,
    r"\.venv/bin/python -m delivery\.review --stack \w+ --account --refresh": DRIFT,
    r"\.venv/bin/python -m delivery\.review --stack \w+ --account": WAY_BACK,
    r"\.venv/bin/python -m delivery\.deploy --stack \w+ --refresh": DRIFT,
    r"\.venv/bin/python -m delivery\.deploy --stack \w+": WAY_BACK,
    r"make deploy STACK=staging": WAY_BACK,
    r"make rollback(?: STACK=production)?": (
        f"{DEPLOY}::test_a_release_that_serves_is_taken_back_by_the_steps_of_a_release"
    ),
    r"\.venv/bin/python -m delivery\.secrets --stack staging --set cloudflare-dns-token": (
        "tests/unit/test_secrets_table.py::test_a_secret_goes_to_pulumi_by_its_input_and_nowhere_else"
    ),
    r".*\.venv/bin/python -m delivery\.account --folder build/pulumi.*": (
        "tests/unit/test_gate_review.py::test_the_makers_own_program_is_got_in_the_pinned_release"
    ),
    r"make secrets STACK=production CHECK=1": (
        "tests/unit/test_rotation.py::test_those_that_are_too_old_or_soon_will_be_are_told_with_what_to_do"
    ),
    r"\.venv/bin/python -m simulator render --stack production": (
        "tests/engine/test_render.py::test_the_command_prints_no_secret"
    ),
    r"make policy STACK=production": f"{DEPLOY}::test_the_policy_packs_step_judges_the_whole_stack",
    r"make restore STACK=production TO='[^']+'": (
        "tests/unit/test_restore.py::test_the_plan_says_what_is_lost_and_only_the_restore_changes"
    ),
    r"make adopt-edge STACK=production": (
        "tests/unit/test_edge_adopt.py::test_the_command_writes_the_file_and_says_the_order"
    ),
    r"make silence STACK=production .*": (
        "tests/unit/test_silence.py::test_it_says_what_it_silences_before_and_how_to_end_it_after"
    ),
    r"make (?:up|status)": (
        "tests/cluster/test_platform.py::test_every_pod_is_ready_and_nothing_was_started_twice"
    ),
    r"make down": "tests/cluster/test_node_down.py::test_nothing_of_a_node_is_left",
    r"make docs": "tests/unit/test_compliance_page.py::test_the_page_is_as_the_code_says",
    r"pulumi preview --stack staging --policy-pack .*": WAY_BACK,
    r"pulumi up(?: --stack staging)?": WAY_BACK,
    r"pulumi destroy --stack \w+": "tests/engine/test_platform.py::test_destroy_leaves_nothing",
}
"""Pattern of commands -> the test that runs the same program with the same options, over stand-ins where need be.

An account's place is taken by the simulated cloud, GitHub's, kubectl's and Cloudflare's by servers of the tests.
"""

Need = Literal["account", "cluster", "minutes", "network"]

ELSEWHERE: Final[dict[str, tuple[Need, str]]] = {
    r"make test(?:-fast|-engine)?": ("minutes", "it is what runs this test"),
    r"make test-(?:cluster|build|backup|up|faults|node|platform)": (
        "minutes",
        "they build programs, or run databases, for minutes",
    ),
    r"make test-cross": ("network", "it installs a scanner of others from the package registry"),
    r"make bench": ("minutes", "it measures for minutes"),
    r"make lock": ("network", "it asks the package registry for what is newest"),
    r"export PULUMI_BACKEND_URL=.*": ("account", "a bucket for the state"),
    r"pulumi stack init.*": ("account", "a bucket for the state and a key"),
    r"pulumi stack export.*": ("account", "a state worth keeping; the engine's own command"),
    r"\(umask 077; pulumi stack export.*\)": ("account", "a state worth keeping; the engine's own command"),
    r"pulumi stack rm --force production": ("account", "a state to forget"),
    r"pulumi cancel": ("account", "a lock that somebody left; the page says when not to"),
    r"pulumi import --file": ("account", "objects that nobody here made"),
    r"kubectl .*": ("cluster", "a cluster that runs the platform"),
    r"curl -s https://api\.fixia\.app/version": ("cluster", "the platform, reached from outside"),
    r"docker buildx imagetools inspect.*": ("network", "a registry that holds the image"),
    r"pg_dump --format=custom": ("cluster", "the database that is left"),
}
"""Pattern of commands -> what they need that no test has, and why."""

COUNTED: Final[dict[Need, int]] = {"account": 9, "cluster": 10, "minutes": 11, "network": 3}
"""How many different commands nobody runs here, by what they need: so that none more is one more by accident."""


def commands(page: Path) -> list[str]:
    """What a page tells to type: the lines of its shell blocks, and code in running text that is a command."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    told = [
        *(re.sub(r"\s+# .*", "", line).strip() for line in lines),
        *(code for code in inline if " " in code and code.split()[0] in PROGRAMS),
    ]
    return [command for command in told if command and not command.startswith("#")]


ALL: Final = sorted({command for page in PAGES for command in commands(page)})


def rows(command: str) -> list[str]:
    """The rows that a command has."""
    patterns = [*map(re.escape, HERE), *TESTED, *ELSEWHERE]
    return [pattern for pattern in patterns if re.fullmatch(pattern, command)]


@pytest.mark.parametrize("command", ALL)
def test_a_command_has_one_row(command: str) -> None:
    pages = ", ".join(str(page.relative_to(ROOT)) for page in PAGES if command in commands(page))
    assert len(rows(command)) == 1, (
        f"{pages} tells to type `{command}`, which {len(rows(command))} rows of {Path(__file__).name} know: "
        "run it in a test and name that in TESTED, or say in ELSEWHERE what it needs"
    )


def test_no_row_is_left_over() -> None:
    used = {row for command in ALL for row in rows(command)}
    assert {*map(re.escape, HERE), *TESTED, *ELSEWHERE} <= used


@pytest.mark.parametrize("test", sorted(set(TESTED.values())))
def test_the_tests_that_the_table_names_are_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_what_nobody_runs_here_is_counted() -> None:
    found = Counter(
        need for command in ALL for pattern, (need, _) in ELSEWHERE.items() if re.fullmatch(pattern, command)
    )
    assert {need: found[need] for need in get_args(Need)} == COUNTED


@pytest.mark.parametrize("command", [command for command in ALL if command.startswith("make ")])
def test_make_knows_each_of_its_commands_whole(command: str) -> None:
    """The target is there, every variable reaches it, and the shell can read what comes of it."""
    command = command.replace("'…'", "why")
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} --dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for _, value in re.findall(r"\b([A-Z]+)=('[^']*'|\S+)", command):
        assert value.strip("'") in done.stdout or value == "why", f"{command}: nothing becomes of {value}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as it lies here in a folder of its own, with a review of each stack in `build/`."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and name.split("/")[0] not in ("tests", "docs", "bench"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=All of it")):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "build").mkdir()
    recorded = json.loads((ROOT / "tests/unit/data/comments/no-change.json").read_text(encoding="utf-8"))
    for stack in ("staging", "production"):
        report = {**recorded["report"], "stack": stack}
        (folder / f"build/preview-{stack}.json").write_text(json.dumps(report))
        (folder / f"build/steps-{stack}.json").write_text(json.dumps({"steps": [], "config": {}}))
        (folder / f"build/comment-{stack}.md").write_text("a comment\n")
    shutil.copy(folder / "Pulumi.staging.yaml", folder / "Pulumi.dev.yaml")
    return folder


@pytest.mark.parametrize("command", HERE)
def test_it_runs_as_it_stands_on_the_page(clone: Path, command: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=clone, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    quiet = command.startswith(("cp ", "git "))
    assert quiet or done.stdout.strip(), "it says nothing"
