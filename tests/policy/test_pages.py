"""The generated pages are as the code would write them now."""

from tests.policy.pages import generated


def test_pages_are_current() -> None:
    for path, text in generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: run `make docs`"
