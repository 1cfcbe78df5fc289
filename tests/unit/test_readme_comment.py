"""The comment on the README's first screen is one that the program really wrote, to the letter.

After a wanted change of the recorded comments, `python -m tests.unit.test_readme_comment` writes it anew.
"""

from typing import Final

from tests.recorder import ROOT

README: Final = ROOT / "README.md"
COMMENT: Final = ROOT / "tests/unit/data/comments/changed-replicas.md"
_BEGIN: Final = f"<!-- {COMMENT.relative_to(ROOT)} -->\n"
_END: Final = "<!-- end -->\n"
_SCREEN: Final = 60
"""Lines that the first screen of a rendered page has room for, about."""


def quoted(text: str) -> str:
    """A comment as a quotation, so that its headings are none of the README's."""
    return "".join(f"> {line}".rstrip() + "\n" for line in text.splitlines())


def parts(text: str) -> tuple[str, str, str]:
    """What stands before the comment, the comment with its marks, and the rest."""
    before, begin, rest = text.partition(_BEGIN)
    shown, end, after = rest.partition(_END)
    assert begin, f"README.md has lost the mark {_BEGIN.strip()}"
    assert end, f"README.md has lost the mark {_END.strip()}"
    return before, shown, end + after


def test_the_readme_shows_a_recorded_comment_to_the_letter() -> None:
    _, shown, _ = parts(README.read_text(encoding="utf-8"))
    wanted = quoted(COMMENT.read_text(encoding="utf-8"))
    assert shown == wanted, "`.venv/bin/python -m tests.unit.test_readme_comment` writes it anew"


def test_it_stands_on_the_first_screen_below_the_two_commands() -> None:
    before, shown, _ = parts(README.read_text(encoding="utf-8"))
    assert before.count("```sh") == 1
    assert "make preview " in before
    assert "make test " in before
    assert len((before + shown).splitlines()) <= _SCREEN


def write() -> None:
    """Put the recorded comment into the README."""
    first, _, last = parts(README.read_text(encoding="utf-8"))
    README.write_text(first + _BEGIN + quoted(COMMENT.read_text(encoding="utf-8")) + last, encoding="utf-8")


if __name__ == "__main__":
    write()
