"""What every tier shares: the whole program, recorded once per stack."""

import pytest

from tests.recorder import STACKS, Recording, record_stack


@pytest.fixture(scope="session")
def recordings() -> dict[str, Recording]:
    """Every stack of the repository, run against mocks."""
    return {stack: record_stack(stack) for stack in STACKS}


@pytest.fixture(params=STACKS)
def recording(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> Recording:
    """Each stack in turn."""
    return recordings[request.param]
