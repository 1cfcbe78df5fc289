"""Every object of every stack, judged by a real API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.engine.install import engine
from simulator.node.control_plane import ControlPlane
from simulator.programs.definitions import CLOUDNATIVE_PG, definitions
from simulator.render import render
from tests.cluster.court import Court
from tests.cluster.crowd import everybody
from tests.engine.platform import config, program_copy
from tests.operated import operated

pytestmark = pytest.mark.cluster


def test_the_cluster_takes_the_definitions_and_the_namespaces(court: Court) -> None:
    complaints = [line for verdict in court.ground for line in verdict.complaints]

    assert not complaints, "\n".join(complaints)


def test_every_object_is_valid_in_every_field(court: Court) -> None:
    complaints = [line for verdict in court.tried for line in verdict.complaints]

    assert not complaints, "\n".join(complaints)


def test_every_object_is_accepted(court: Court) -> None:
    complaints = [line for verdict in court.applied for line in verdict.complaints]

    assert not complaints, "\n".join(complaints)


def test_the_pods_of_every_template_are_admitted_to_their_namespace(court: Court) -> None:
    complaints = [line for verdict in court.pods for line in verdict.complaints]

    assert len(court.pods) > 0
    assert not complaints, "\n".join(complaints)


def test_the_quotas_hold_every_pod_that_there_may_be_at_once(court: Court) -> None:
    complaints = [line for pod in everybody(court.manifests) for line in court.admit(pod).complaints]

    assert not complaints, "\n".join(complaints)


def test_nothing_that_we_send_is_rewritten(court: Court) -> None:
    """What the server writes in another way is a difference in every later preview."""
    rewritten = [line for verdict in court.applied for line in verdict.rewritten]

    assert not rewritten, "\n".join(rewritten)


def test_applying_once_more_changes_nothing(court: Court) -> None:
    complaints = [line for repetition in court.repeated for line in repetition.complaints]

    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="module")
def operators_court(
    servers: dict[str, Path], crds: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Court]:
    """A stack whose database CloudNativePG runs, with the operator's own definitions but without the operator."""
    program = program_copy(tmp_path_factory.mktemp("operated") / "program")
    stack = yaml.safe_dump({"config": operated(config("staging"))})
    (program / "Pulumi.staging.yaml").write_text(stack)
    manifests = render(program, "staging", engine, show_secrets=True)
    with ControlPlane(etcd=servers["etcd"], apiserver=servers["kube-apiserver"]) as running:
        yield Court(running.client, manifests, [*crds, *definitions(CLOUDNATIVE_PG)])


def test_the_operators_objects_are_valid_and_stay_as_they_are_sent(operators_court: Court) -> None:
    court = operators_court
    kinds = {manifest["kind"] for manifest in court.manifests}
    assert {"Cluster", "Pooler"} <= kinds
    assert "StatefulSet" in kinds  # the cache
    complaints = [
        line
        for verdicts in (court.ground, court.tried, court.applied, court.pods, court.repeated)
        for verdict in verdicts
        for line in verdict.complaints
    ]
    rewritten = [line for verdict in court.applied for line in verdict.rewritten]

    assert not complaints, "\n".join(complaints)
    assert not rewritten, "\n".join(rewritten)


def test_a_field_that_the_operator_does_not_know_is_told(operators_court: Court) -> None:
    (pooler,) = [each for each in operators_court.manifests if each["kind"] == "Pooler"]
    odd = {**pooler, "spec": {**pooler["spec"], "instanses": 2}}
    assert not [each for each in operators_court.applied if not each.answer.accepted]

    answer = operators_court.client.apply(odd, manager="judged", dry_run=True)

    assert "instanses" in " ".join([answer.message if not answer.accepted else "", *answer.warnings])
