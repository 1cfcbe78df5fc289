"""A real API server, and each stack's objects before it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.engine.install import engine
from simulator.golang.install import installed, kept
from simulator.node.control_plane import ControlPlane
from simulator.programs import definitions
from simulator.programs.registry import PROGRAMS
from simulator.render import render
from tests.cluster.court import Court
from tests.cluster.platform import Platform, platform
from tests.recorder import ROOT, STACKS

SERVERS = ("etcd", "kube-apiserver")


@pytest.fixture(scope="session")
def servers() -> dict[str, Path]:
    """The control plane's programs, if they are there or may be built; else the test is skipped."""
    found = {name: kept(PROGRAMS[name]) for name in SERVERS}
    missing = [name for name, path in found.items() if not path]
    if not definitions.kept(definitions.CERT_MANAGER):
        missing.append("cert-manager's definitions")
    if missing and os.environ.get("FIXIA_TEST_BUILD") != "1":
        pytest.skip(f"no {', '.join(missing)}, and making them takes minutes: `make test-cluster`")
    return {name: path or installed(PROGRAMS[name]) for name, path in found.items()}


@pytest.fixture(scope="session")
def crds(servers: dict[str, Path]) -> list[dict[str, Any]]:
    """What a cluster of this platform has beside the objects of the program."""
    return definitions.definitions(definitions.CERT_MANAGER)


@pytest.fixture(scope="session")
def control_plane(servers: dict[str, Path]) -> Iterator[ControlPlane]:
    """An empty one, for what is about no stack."""
    with ControlPlane(etcd=servers["etcd"], apiserver=servers["kube-apiserver"]) as running:
        yield running


@pytest.fixture(scope="session", params=STACKS)
def court(
    request: pytest.FixtureRequest, servers: dict[str, Path], crds: list[dict[str, Any]]
) -> Iterator[Court]:
    """Each stack in turn, before an API server of its own: they share names."""
    manifests = render(ROOT, request.param, engine, show_secrets=True)
    with ControlPlane(etcd=servers["etcd"], apiserver=servers["kube-apiserver"]) as running:
        yield Court(running.client, manifests, crds)


@pytest.fixture(scope="session")
def up() -> Iterator[Platform]:
    """The whole platform on a node."""
    with platform() as brought_up:
        yield brought_up
