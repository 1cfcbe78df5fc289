"""What every tier shares: the whole program, recorded once per stack."""

import signal

import pytest

from tests.recorder import STACKS, Recording, record_stack


def pytest_configure() -> None:
    """Have SIGTERM end a run as Ctrl-C does: what it has started is ended with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def recordings() -> dict[str, Recording]:
    """Every stack of the repository, run against mocks."""
    return {stack: record_stack(stack) for stack in STACKS}


@pytest.fixture(params=STACKS)
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    """Each stack in turn."""
    return recordings[request.param]
