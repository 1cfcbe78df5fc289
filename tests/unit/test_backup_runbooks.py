"""What a backup job's message sends an operator to is there, and has the paragraph that it names."""

import re

import pytest

from tests.recorder import ROOT, Recording

NAMED = re.compile(r'(docs/runbooks/[a-z0-9-]+\.md)(?:, \\?"([^"\\]+)\\?")?')
SCRIPTS = ("components/backup/scripts", "images/backup/rootfs", "images/postgres/rootfs")


def named() -> set[tuple[str, str]]:
    """A page and a word of it; the word is empty where the whole page is meant."""
    files = (file for folder in SCRIPTS for file in (ROOT / folder).rglob("*") if file.is_file())
    return {found for file in files for found in NAMED.findall(file.read_text(encoding="utf-8"))}


def test_scripts_name_several() -> None:
    assert {page for page, _ in named()} > {
        "docs/runbooks/archive-behind.md",
        "docs/runbooks/backup-late.md",
        "docs/runbooks/repository-damaged.md",
    }
    assert any(word for _, word in named())


@pytest.mark.parametrize(("page", "word"), sorted(named()))
def test_a_runbook_that_a_script_names_is_there(page: str, word: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert word.lower() in text.lower(), f"{page} says nothing of {word!r}"


KINDS = {
    "deploy": "kubernetes:apps/v1:Deployment",
    "deployment": "kubernetes:apps/v1:Deployment",
    "cronjob": "kubernetes:batch/v1:CronJob",
    "statefulset": "kubernetes:apps/v1:StatefulSet",
}


def test_what_the_runbooks_call_by_its_name_has_that_name_in_the_cluster(recording: Recording) -> None:
    """A name that the engine makes up is known to nobody at night."""
    called = {
        (page.name, KINDS[kind], name)
        for page in (ROOT / "docs/runbooks").glob("*.md")
        for kind, name in re.findall(
            r"-n fixia-(?:data|restore) .*?\b(deploy|deployment|cronjob|statefulset)/([a-z0-9-]+)",
            page.read_text(encoding="utf-8"),
        )
    }
    assert ("disaster-bad-deploy.md", KINDS["deploy"], "backups-monitor") in called
    named = {
        (resource.type, resource.inputs["metadata"].get("name"))
        for kind in set(KINDS.values())
        for resource in recording.of_type(kind)
    }
    assert {each for each in called if each[1:] not in named} == set()
