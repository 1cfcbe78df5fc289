"""The sample application, by its own tests: its dependencies as locked, real servers where they can run."""

import re
from pathlib import Path

import pytest

from tests.artifact.sample_app import APP, application_or_skip, npm

SKIPPED = re.compile(r"^\s*ok \d+ - .*# SKIP (?P<reason>.+)$", re.MULTILINE)
UNITS = len(re.findall(r"^test\(", (APP / "test" / "unit.test.js").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return application_or_skip(tmp_path)


def test_the_application_alone_and_with_real_servers(app: Path) -> None:
    ran = npm(app, "test")
    assert ran.code == 0, ran.output
    assert ran.counted("fail") == ran.counted("cancelled") == ran.counted("todo") == 0
    assert ran.counted("pass") >= UNITS, ran.output
    if reasons := {skip["reason"] for skip in SKIPPED.finditer(ran.output)}:
        pytest.skip(f"{ran.counted('pass')} passed, without servers: {'; '.join(sorted(reasons))}")
    assert ran.counted("pass") == ran.counted("tests") > UNITS


def test_the_types(app: Path) -> None:
    ran = npm(app, "run", "types")
    assert ran.code == 0, ran.output
