"""Every command that the README, the guides, the runbooks and the checklists tell to type is run by a test, or it is said
why not.

A new command fails here until it has its row: in `HERE` if a second is enough, in `TESTED` with the test that runs the
same program with the same options, or in `ELSEWHERE` with what it needs that no test has. What kubectl is told is typed
at a real API server with production's objects, whole scripts of runbooks too; what needs a kubelet besides is held there
against the objects that it names, and counted here as `node`.
"""

import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Final, Literal, get_args

import pytest

from tests.doc_commands import GUIDES, RUNBOOKS, commands
from tests.recorder import ROOT
from tests.tree import committed, copied

PAGES: Final = (*GUIDES, *RUNBOOKS)

HERE: Final = (
    "make help",
    "make promote",
    "make secrets",
    "make secrets STACK=production",
    "make cost",
    "git log -3 --format='%h %ar %s' -- Pulumi.production.yaml",
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
NODE: Final = (
    r"kubectl (?:-n \S+ )?(?:exec|logs|cp|port-forward|top|debug|cnpg|wait|rollout (?:status|undo))\b.*"
    r"|kubectl get --raw /api/v1/nodes/.*"
)
"""What an API server alone can't answer."""
TYPED: Final = "tests/cluster/test_runbook_commands.py"
BLOCKS: Final = f"{TYPED}::test_the_blocks_of_a_runbook_run_as_they_stand"
TESTED: Final = {
    r"make pictures": "tests/artifact/test_pictures.py::test_they_are_current",
    rf"(?!(?:{NODE}))kubectl .*": BLOCKS,
    r"make preview(?: STACK=(?:production|dev))?": PREVIEW,
    r"make preview(?: STACK=production)? BASE=main": (
        "tests/engine/test_preview.py::test_a_base_makes_the_preview_show_what_changed_since"
    ),
    r"make review(?: STACK=production)?": REVIEW,
    r"\.venv/bin/python -m delivery\.review --stack staging --base HEAD": (
        "tests/engine/test_first_hour.py::test_nothing_but_the_page_is_needed"
    ),
    r"\.venv/bin/python -m delivery\.review --stack \w+ --account --refresh": DRIFT,
    r"\.venv/bin/python -m delivery\.review --stack \w+ --account": WAY_BACK,
    r"\.venv/bin/python -m delivery\.deploy --stack \w+ --refresh": DRIFT,
    r"\.venv/bin/python -m delivery\.deploy --stack \w+": WAY_BACK,
    r"make deploy STACK=(?:staging|production)": WAY_BACK,
    r"make rollback(?: STACK=production)?": (
        f"{DEPLOY}::test_a_release_that_serves_is_taken_back_by_the_steps_of_a_release"
    ),
    r"\.venv/bin/python -m delivery\.secrets --stack (?:staging --set cloudflare-dns-token|production --set .*)": (
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
    r"make restore STACK=production SCRATCH=1 TO='[^']+'": (
        "tests/unit/test_restore.py::test_beside_the_live_one_nothing_of_the_stack_changes"
    ),
    r"make restore STACK=production TABLE=public\.orders": (
        "tests/unit/test_restore.py::test_one_table_of_a_dump"
    ),
    r"make restore STACK=production TO=backup SET=.*": (
        "tests/unit/test_restore.py::test_what_is_restored_as_a_backup_has_it_loses_all_since_that_backup"
    ),
    r"make restore STACK=production TO=latest NEW_CLUSTER=1": (
        "tests/unit/test_restore.py::test_a_new_cluster_is_asked_nothing"
    ),
    r"make restore(?: STACK=production TO=latest)?": (
        "tests/unit/test_restore.py::test_a_database_that_does_not_run_can_be_restored_all_the_same"
    ),
    r"make silence STACK=production LIST=1": (
        "tests/unit/test_silence.py::test_it_lists_what_is_silenced_and_why"
    ),
    r"make silence STACK=production END=<id>": "tests/unit/test_silence.py::test_it_ends_one",
    r"make adopt-edge STACK=production(?: > adopt\.json)?": (
        "tests/unit/test_edge_adopt.py::test_the_command_writes_the_file_and_says_the_order"
    ),
    r"make silence STACK=production (?:FOR|ALERT|ALL).*": (
        "tests/unit/test_silence.py::test_it_says_what_it_silences_before_and_how_to_end_it_after"
    ),
    r"make (?:up|status)": (
        "tests/cluster/test_platform.py::test_every_pod_is_ready_and_nothing_was_started_twice"
    ),
    r"make down": "tests/cluster/test_node_down.py::test_nothing_of_a_node_is_left",
    r"make docs": "tests/unit/test_compliance_page.py::test_the_page_is_as_the_code_says",
    r"pulumi preview --stack staging --policy-pack .*": WAY_BACK,
    r"pulumi up(?: --stack staging)?": WAY_BACK,
    r"pulumi preview(?: --diff| --refresh)?": (
        "tests/engine/test_platform.py::test_after_up_there_is_nothing_to_change_and_no_drift"
    ),
    r"pulumi up --refresh.*": DRIFT,
    r"pulumi refresh": "tests/engine/test_providers.py::test_life",
    r"pulumi stack output edge": (
        f"{DEPLOY}::test_the_stack_tells_as_an_output_what_the_comment_said_it_would_cost"
    ),
    r"pulumi destroy(?: --stack \w+)?": "tests/engine/test_platform.py::test_destroy_leaves_nothing",
}
"""Pattern of commands -> the test that runs the same program with the same options, over stand-ins where need be.

An account's place is taken by the simulated cloud, GitHub's, kubectl's and Cloudflare's by servers of the tests.
"""

Need = Literal["account", "cluster", "minutes", "network", "node"]


ELSEWHERE: Final[dict[str, tuple[Need, str]]] = {
    r"make test(?:-fast|-engine)?": ("minutes", "it is what runs this test"),
    r"make test-(?:cluster|build|backup|up|faults|node|platform|runbooks)": (
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
    r"pulumi import --file.*": ("account", "objects that nobody here made"),
    NODE: ("node", "pods that run; the objects that it names are looked for at a real API server"),
    r"curl -s.*": ("cluster", "the platform, reached from outside"),
    r"git (?:revert|commit -m \"Roll back to …\" Pulumi\.production\.yaml)": (
        "account",
        "git's own; the repository of a team",
    ),
    r"pulumi stack --stack production --show-urns": ("account", "the engine's own list of a state"),
    r"pulumi stack change-secrets-provider --stack production": ("account", "a key of a cloud"),
    r"pulumi state delete": (
        "account",
        "a resource that somebody took away by hand; the engine's own command",
    ),
    r"pulumi up (?:--stack production --replace 'URN'|--target.*)": (
        "account",
        "a part of a stack alone; the engine's own options",
    ),
    r"docker buildx imagetools inspect.*": ("network", "a registry that holds the image"),
    r"pg_dump --format=custom": ("cluster", "the database that is left"),
}
"""Pattern of commands -> what they need that no test has, and why."""

COUNTED: Final[dict[Need, int]] = {"account": 18, "cluster": 5, "minutes": 12, "network": 3, "node": 122}
"""How many different commands nobody runs here, by what they need: so that none more is one more by accident."""


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
    command = re.sub(r"'…'|<[^>]*>", "why", command.partition(" > ")[0])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} --dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name, value in re.findall(r"\b([A-Z]+)=('[^']*'|\S+)", command):
        # A reason goes through the environment: no shell reads it.
        assert value.strip("'") in done.stdout or name == "REASON", f"{command}: nothing becomes of {value}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as it lies here in a folder of its own, with a review of each stack in `build/`."""
    left = ("tests", "docs", "bench")
    folder = copied(tmp_path_factory.mktemp("clone"), wanted=lambda path: path.parts[0] not in left)
    committed(folder)
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
