"""What the pages tell to type: shell blocks, and code in running text that is a command."""

import re
from pathlib import Path
from typing import Final

from tests.recorder import ROOT

GUIDES: Final = (
    ROOT / "README.md",
    *sorted((ROOT / "docs/guides").glob("*.md")),
    *sorted((ROOT / "docs/runbooks").glob("checklist-*.md")),
)
"""Pages whose blocks are one command a line."""

RUNBOOKS: Final = tuple(page for page in sorted((ROOT / "docs/runbooks").glob("*.md")) if page not in GUIDES)
"""Pages whose blocks are small scripts: with variables that an alert fills in, pipes and loops."""

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

_BLOCK: Final = re.compile(r"^ *```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_IN_SCRIPT: Final = re.compile(
    r"(?:^|[;|&({]|\$\(|\bdo|='|=\")[ ]*((?:kubectl|make|pulumi|git|docker|pg_dump|\.venv/bin/python) [^\n]*)",
    re.MULTILINE,
)


def blocks(page: Path) -> list[str]:
    """A page's shell blocks."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def inline(page: Path) -> list[str]:
    """Code in a page's running text that is a command."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [code for code in _INLINE.findall(text) if " " in code and code.split()[0] in PROGRAMS]


def commands(page: Path) -> list[str]:
    """What a page tells to type; of a runbook's scripts each command of a program that has a row in a table."""
    if page in GUIDES:
        lines = [
            re.sub(r"\s+# .*", "", line).strip() for block in blocks(page) for line in block.splitlines()
        ]
        found = [line for line in lines if line and not line.startswith("#")]
    else:
        found = []
        for block in blocks(page):
            joined = re.sub(r"\\\n\s*", "", re.sub(r"(?m)\s+# .*$", "", block))
            for command in _IN_SCRIPT.findall(joined):
                # Those behind a pipe or a semicolon are commands of their own.
                alone = re.split(r" [|>&]|;", command)[0].strip()
                # The end of a variable that holds a command.
                found.append(alone[:-1] if alone[-1] in "'\"" and alone.count(alone[-1]) % 2 else alone)
    return [command for command in [*found, *inline(page)] if command]
