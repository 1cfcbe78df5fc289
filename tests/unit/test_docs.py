"""What the pages name exists: files, tests, make targets, links."""

import re
from pathlib import Path

import pytest

from tests.recorder import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("policies/*.md"), *ROOT.glob("images/*/*.md")]
)
FOLDERS = "components|settings|policies|simulator|tests|docs|bench|images|delivery"
FILE = re.compile(rf"`((?:{FOLDERS})/[\w./-]+\.\w+)(?:::(\w+))?`")
FOLDER = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
RUNBOOK = re.compile(r'docs/runbooks/([\w-]+\.md)(?:, \\?"([\w ]+)\\?")?')
"""A runbook that a program names, and the words under which it tells of this case."""
TARGET = re.compile(r"\bmake ([a-z][a-z-]+)\b")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_and_test_that_a_page_names_exists(page: Path) -> None:
    for file, test in FILE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / file).is_file(), f"{name(page)} names {file}"
        if test:
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), (
                f"{name(page)} names {file}::{test}"
            )
    for folder in FOLDER.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / folder).exists(), f"{name(page)} names {folder}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), f"{name(page)} links to {link}"


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        code = " ".join(re.findall(r"`[^`]+`|```.*?```", page.read_text(encoding="utf-8"), re.DOTALL))
        assert set(TARGET.findall(code)) <= targets, name(page)


def test_every_make_target_is_in_the_help() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"^\.PHONY: ([a-z-]+)", makefile, re.MULTILINE)) == set(
        re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    )


@pytest.mark.parametrize("folder", ["components", "images", "settings"])
def test_every_runbook_that_a_program_names_exists_and_tells_of_the_case(folder: str) -> None:
    named = {
        found
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".sh", ".sql", ".jq"}
        for found in RUNBOOK.findall(file.read_text(encoding="utf-8"))
    }
    assert named
    for runbook, case in named:
        page = ROOT / "docs" / "runbooks" / runbook
        assert page.is_file(), f"{folder} names {runbook}"
        assert not case or f'"{case}"' in page.read_text(encoding="utf-8"), (
            f"{runbook} tells nothing of {case}"
        )
