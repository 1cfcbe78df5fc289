"""What several of these tests begin with."""

from pathlib import Path

import pytest

from tests.artifact.database_pod import DatabasePod


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
