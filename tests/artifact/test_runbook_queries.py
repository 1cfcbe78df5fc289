"""The questions that the runbooks have an operator ask are ones that the real database answers."""

import re
from pathlib import Path

from tests.artifact.database_pod import DatabasePod
from tests.recorder import ROOT

QUESTION = re.compile(r"""-c (["'])((?:SELECT|TABLE) .*?)\1""", re.DOTALL)
FILLED_IN = re.compile(r"\b(PID|NAME|GID|TABLE)\b(?! maintenance| platform)")


def questions() -> dict[str, str]:
    """Every one of the runbooks that has nothing to fill in."""
    return {
        f"{page.name}: {question}": question
        for page in sorted((ROOT / "docs" / "runbooks").glob("*.md"))
        for _, question in QUESTION.findall(page.read_text(encoding="utf-8"))
        if not FILLED_IN.search(question) and "wal_receiver" not in question
    }


def test_the_database_answers_every_one(tmp_path: Path) -> None:
    asked = questions()
    assert len(asked) > 15
    pod = DatabasePod(tmp_path / "pod")
    with pod.serving() as server:
        for question in asked.values():
            pod.root(server, question)
