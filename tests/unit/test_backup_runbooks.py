"""What a backup job's message sends an operator to is there, and has the paragraph that it names."""

import re

import pytest

from tests.recorder import ROOT

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
