"""Objects that were accepted and never became ready: what is kept, what the engine is told, what comes next."""

from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from simulator.providers.core import NotReadyError, ProviderError, Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.server import serve
from simulator.providers.store import DIGEST, Record, Store
from simulator.providers.values import Secret, from_struct, merge, to_struct

Inputs = dict[str, Any]


def resource(kind: str) -> Resource:
    token = f"kubernetes:{kind}"
    return Resource(f"urn:pulumi:test::shop::{token}::web", token, "web")


def workload(image: str, **spec: Any) -> Inputs:
    template = {"spec": {"containers": [{"name": "web", "image": image}]}}
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"template": template, **spec}}


def annotated(inputs: Inputs, name: str) -> Inputs:
    changed: Inputs = merge(inputs, {"metadata": {"annotations": {f"pulumi.com/{name}": "true"}}})
    return changed


@pytest.fixture
def store() -> Store:
    return Store()


def cluster(store: Store, *failing: str) -> Kubernetes:
    provider = Kubernetes(store, frozenset(failing))
    provider.configure({})
    return provider


def record(store: Store, kind: str) -> Record:
    found = store.read(f"{kind.partition('/')[0]}.{kind.partition(':')[2]}", "shop/web")
    assert found is not None
    return found


def failed(store: Store, kind: str, inputs: Inputs) -> NotReadyError:
    with pytest.raises(NotReadyError) as raised:
        cluster(store, "web").create(resource(kind), inputs)
    return raised.value


JOB, DEPLOYMENT = "batch/v1:Job", "apps/v1:Deployment"


def test_a_job_that_fails_exists_and_says_why(store: Store) -> None:
    inputs = workload("web:1")
    error = failed(store, JOB, inputs)
    assert error.resource_id == "shop/web"
    assert error.outputs["status"]["conditions"][0]["type"] == "Failed"
    assert error.reasons == [
        "resource shop/web was successfully created, but the Kubernetes API server reported that it failed to "
        "fully initialize or become live: Resource 'web' was created but failed to initialize",
        "[BackoffLimitExceeded] simulated failure of kubernetes:batch/v1:Job 'web', as was asked for",
    ]
    assert record(store, JOB).inputs == inputs


def test_a_failed_job_fails_again_though_the_cloud_is_well(store: Store) -> None:
    inputs = workload("web:1")
    outputs = failed(store, JOB, inputs).outputs
    well = cluster(store)
    assert well.diff(resource(JOB), inputs, inputs).because == ()
    for _ in range(2):
        with pytest.raises(NotReadyError, match='reported that "shop/web" failed to fully initialize'):
            well.update(resource(JOB), "shop/web", outputs, inputs)
    with pytest.raises(NotReadyError) as read:
        well.read(resource(JOB), "shop/web", inputs, outputs)
    assert read.value.inputs == inputs
    assert read.value.reasons[0] == "Resource 'web' was created but failed to initialize"


def test_a_failed_job_is_replaced_if_it_asks_for_that(store: Store) -> None:
    inputs = annotated(workload("web:1"), "replaceUnready")
    failed(store, JOB, inputs)
    well = cluster(store)
    found = well.diff(resource(JOB), inputs, inputs)
    assert (found.changes, found.replaces) == ([], [])
    assert found.because == ('.metadata.annotations["pulumi.com/replaceUnready"]',)
    assert found.delete_first, "the program named it"
    well.delete(resource(JOB), "shop/web", {})
    well.create(resource(JOB), inputs)
    assert well.diff(resource(JOB), inputs, inputs).because == ()


def test_the_provider_hears_that_wish_of_jobs_only(store: Store) -> None:
    inputs = annotated(workload("web:1"), "replaceUnready")
    failed(store, DEPLOYMENT, inputs)
    assert cluster(store).diff(resource(DEPLOYMENT), inputs, inputs).because == ()


def test_an_object_that_nobody_waits_for_fails_in_silence(store: Store) -> None:
    inputs = annotated(workload("web:1"), "skipAwait")
    bad = cluster(store, "web")
    object_id, outputs = bad.create(resource(JOB), inputs)
    assert outputs["status"]["failed"] == 1
    assert bad.read(resource(JOB), object_id, inputs, outputs)[0] == object_id


def test_a_rollout_that_fails_keeps_the_new_spec_and_the_old_pods(store: Store) -> None:
    old, new = workload("web:1", replicas=4), workload("web:2", replicas=4)
    kind = resource(DEPLOYMENT)
    _, outputs = cluster(store).create(kind, old)
    assert record(store, DEPLOYMENT).serving == old["spec"]["template"]
    for _ in range(2):  # A second try changes nothing.
        with pytest.raises(NotReadyError) as raised:
            cluster(store, "web").update(kind, "shop/web", outputs, new)
        kept = record(store, DEPLOYMENT)
        assert kept.inputs == new
        assert kept.serving == old["spec"]["template"]
    status = raised.value.outputs["status"]
    assert (status["readyReplicas"], status["updatedReplicas"], status["replicas"]) == (4, 1, 5)
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("False", "ProgressDeadlineExceeded"),
    }
    done = cluster(store).update(kind, "shop/web", raised.value.outputs, new)
    assert done["status"]["updatedReplicas"] == 4
    assert record(store, DEPLOYMENT).serving == new["spec"]["template"]
    assert record(store, DEPLOYMENT).unready == ""


@pytest.mark.parametrize(
    ("kind", "spec", "serving"),
    [
        ("apps/v1:Deployment", {"replicas": 2, "strategy": {"type": "Recreate"}}, False),
        ("apps/v1:StatefulSet", {"replicas": 3}, True),
        ("apps/v1:StatefulSet", {"replicas": 1}, False),
        ("apps/v1:DaemonSet", {}, False),
    ],
)
def test_what_serves_after_a_failed_change(store: Store, kind: str, spec: Inputs, serving: bool) -> None:
    old, new = workload("web:1", **spec), workload("web:2", **spec)
    _, outputs = cluster(store).create(resource(kind), old)
    for _ in range(3):
        with pytest.raises(NotReadyError) as raised:
            cluster(store, "web").update(resource(kind), "shop/web", outputs, new)
        outputs = raised.value.outputs
        assert record(store, kind).serving == (old["spec"]["template"] if serving else {})


def test_nothing_serves_of_a_deployment_that_never_came_up(store: Store) -> None:
    failed(store, DEPLOYMENT, workload("web:1"))
    assert record(store, DEPLOYMENT).serving == {}


def test_what_serves_is_kept_without_its_secrets(store: Store) -> None:
    inputs = workload("web:1")
    inputs["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": Secret("hunter22")}]
    cluster(store).create(resource(DEPLOYMENT), inputs)
    [container] = record(store, DEPLOYMENT).serving["spec"]["containers"]
    assert DIGEST in container["env"][0]["value"]


def test_a_kind_that_cannot_fail_later_is_refused(store: Store) -> None:
    bad, kind = cluster(store, "web"), resource("core/v1:ConfigMap")
    inputs = {"metadata": {"name": "web", "namespace": "shop"}}
    with pytest.raises(ProviderError, match="simulated failure") as refused:
        bad.create(kind, inputs)
    assert not isinstance(refused.value, NotReadyError)
    assert store.read(".ConfigMap", "shop/web") is None
    object_id, outputs = cluster(store).create(kind, inputs)
    with pytest.raises(NotReadyError, match="simulated failure"):
        bad.update(kind, object_id, outputs, inputs | {"data": {"a": "b"}})
    assert cluster(store).read(kind, object_id, inputs, outputs)[1] == inputs


def test_the_engine_is_told_in_the_providers_own_form(store: Store) -> None:
    server, port = serve(Kubernetes(store, frozenset({"web"})))
    one = resource(JOB)
    who: dict[str, Any] = {"urn": one.urn, "type": one.type, "name": one.name}
    inputs = workload("web:1")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({})))
        with pytest.raises(grpc.RpcError) as raised:
            stub.Create(provider_pb2.CreateRequest(**who, properties=to_struct(inputs)))
        wished = annotated(inputs, "replaceUnready")
        answer = stub.Diff(
            provider_pb2.DiffRequest(
                **who, id="shop/web", old_inputs=to_struct(wished), news=to_struct(wished)
            )
        )
    server.stop(None).wait()
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.UNKNOWN
    [detail] = status_pb2.Status.FromString(
        dict(error.trailing_metadata())["grpc-status-details-bin"]
    ).details
    failure = provider_pb2.ErrorResourceInitFailed()
    assert detail.Unpack(failure)
    assert failure.id == "shop/web"
    assert from_struct(failure.properties)["status"]["failed"] == 1
    assert len(failure.reasons) == 2
    assert answer.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(answer.replaces) == ['.metadata.annotations["pulumi.com/replaceUnready"]']
    assert dict(answer.detailedDiff) == {}
