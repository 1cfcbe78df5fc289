"""What several of these tests begin with."""

import os
from pathlib import Path

import pytest

from tests.artifact import past
from tests.artifact.database_pod import DatabasePod


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What takes minutes has a command of its own."""
    if item.get_closest_marker("heavy") and os.environ.get("FIXIA_TEST_BUILD") != "1":
        target = "test-build" if item.get_closest_marker("build") else "test-backup"
        pytest.skip(f"it takes minutes: `make {target}` runs it")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume with a database, whose server has stopped."""
    pod = DatabasePod(tmp_path_factory.mktemp("made"))
    with pod.serving():
        pass
    return pod.volumes["data"]


@pytest.fixture
def database(tmp_path: Path, made: Path) -> DatabasePod:
    """A database's pod that has run before."""
    pod = DatabasePod(tmp_path / "database")
    pod.fill(made)
    return pod


@pytest.fixture(scope="session")
def payments(tmp_path_factory: pytest.TempPathFactory) -> past.Past:
    """A database with a backup, payment 1, a moment, and payment 2, all of it archived."""
    return past.payments(tmp_path_factory.mktemp("payments"))


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> past.Past:
    """A database with tables of several kinds, and a dump of it."""
    return past.shop(tmp_path_factory.mktemp("shop"))
