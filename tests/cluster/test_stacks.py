"""Every object of every stack, judged by a real API server."""

import pytest

from tests.cluster.court import Court
from tests.cluster.crowd import everybody

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
