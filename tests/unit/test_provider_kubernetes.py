"""The simulated kubernetes provider: names, replacements, answers and drift."""

import base64
from typing import Any

import pytest

from simulator.providers.core import Checked, Difference, ProviderError, Resource
from simulator.providers.kubernetes import Kubernetes
from simulator.providers.naming import Naming
from simulator.providers.store import Store
from simulator.providers.values import UNKNOWN, Secret, merge, reveal

SEED = Naming(seed=b"seed")
LABELS = {"app": "web"}
POD = {"containers": [{"name": "web", "image": "web:1"}]}
SPECS: dict[str, dict[str, Any]] = {
    "apps/v1:Deployment": {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": POD},
    },
    "apps/v1:StatefulSet": {
        "serviceName": "db",
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": POD},
    },
    "batch/v1:Job": {"template": {"spec": {**POD, "restartPolicy": "Never"}}},
    "core/v1:Service": {"selector": LABELS, "ports": [{"port": 80}]},
    "core/v1:PersistentVolumeClaim": {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    },
}


@pytest.fixture
def cluster() -> Kubernetes:
    provider = Kubernetes(Store())
    provider.configure({})
    return provider


def resource(kind: str, name: str = "web") -> Resource:
    token = f"kubernetes:{kind}"
    return Resource(f"urn:pulumi:test::shop::{token}::{name}", token, name)


def inputs(kind: str, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {"metadata": {"name": "web"}}
    if kind in SPECS:
        base["spec"] = SPECS[kind]
    changed: dict[str, Any] = merge(base, changes)
    return changed


def check(
    cluster: Kubernetes, kind: str, news: dict[str, Any], olds: dict[str, Any] | None = None
) -> Checked:
    return cluster.check(resource(kind), olds or {}, news, SEED)


def accepted(cluster: Kubernetes, kind: str, news: dict[str, Any], olds: Any = None) -> dict[str, Any]:
    checked = check(cluster, kind, news, olds)
    assert checked.failures == []
    return checked.inputs


def diff(cluster: Kubernetes, kind: str, olds: dict[str, Any], news: dict[str, Any]) -> Difference:
    old = accepted(cluster, kind, olds)
    return cluster.diff(resource(kind), old, accepted(cluster, kind, news, old))


def test_an_object_without_a_name_is_named_once(cluster: Kubernetes) -> None:
    first = accepted(cluster, "core/v1:ConfigMap", {"data": {"a": "b"}})
    metadata = first["metadata"]
    assert metadata["name"].startswith("web-")
    assert len(metadata["name"]) == len("web-") + 8
    assert metadata["annotations"] == {"pulumi.com/autonamed": "true"}
    again = cluster.check(resource("core/v1:ConfigMap"), first, {"data": {"a": "c"}}, Naming(seed=b"other"))
    assert again.inputs["metadata"]["name"] == metadata["name"]
    replaced = cluster.check(resource("core/v1:ConfigMap"), {}, {"data": {"a": "c"}}, Naming(seed=b"other"))
    assert replaced.inputs["metadata"]["name"] != metadata["name"]


def test_the_stack_may_propose_or_forbid_names(cluster: Kubernetes) -> None:
    map_ = resource("core/v1:ConfigMap")
    proposed = cluster.check(map_, {}, {}, Naming(seed=b"x", proposed="shop-web"))
    assert proposed.inputs["metadata"]["name"] == "shop-web"
    [failure] = cluster.check(map_, {}, {}, Naming(seed=b"x", disabled=True)).failures
    assert str(failure) == "metadata.name: missing required property"


def test_namespaces(cluster: Kubernetes) -> None:
    assert (
        accepted(cluster, "core/v1:ConfigMap", inputs("core/v1:ConfigMap"))["metadata"]["namespace"]
        == "default"
    )
    cluster.configure({"namespace": "shop"})
    assert (
        accepted(cluster, "core/v1:ConfigMap", inputs("core/v1:ConfigMap"))["metadata"]["namespace"] == "shop"
    )
    assert (
        "namespace" not in accepted(cluster, "core/v1:Namespace", {"metadata": {"name": "web"}})["metadata"]
    )


def test_a_secret_is_secret_even_if_the_program_forgot(cluster: Kubernetes) -> None:
    checked = accepted(cluster, "core/v1:Secret", inputs("core/v1:Secret", stringData={"token": "hunter22"}))
    assert checked["stringData"] == Secret({"token": "hunter22"})
    _, outputs = cluster.create(resource("core/v1:Secret"), checked)
    encoded = base64.b64encode(b"hunter22").decode()
    assert outputs["data"] == Secret({"token": encoded})


@pytest.mark.parametrize(
    ("kind", "olds", "news", "replaced"),
    [
        ("core/v1:ConfigMap", {"data": {"a": "b"}}, {"data": {"a": "c"}}, ["data.a"]),
        ("core/v1:ConfigMap", {}, {"metadata": {"labels": {"a": "b"}}}, []),
        ("core/v1:ConfigMap", {}, {"metadata": {"name": "other"}}, ["metadata.name"]),
        ("core/v1:ConfigMap", {}, {"metadata": {"namespace": "other"}}, ["metadata.namespace"]),
        ("core/v1:Secret", {"type": "Opaque"}, {"type": "kubernetes.io/tls"}, ["type"]),
        ("core/v1:Secret", {"stringData": {"a": "b"}}, {"stringData": {"a": "c"}}, ["stringData"]),
        ("apps/v1:Deployment", {}, {"spec": {"replicas": 3}}, []),
        (
            "apps/v1:StatefulSet",
            {},
            {"spec": {"serviceName": "other"}},
            ["spec.serviceName"],
        ),
        (
            "batch/v1:Job",
            {},
            {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}},
            ["spec.template.metadata"],
        ),
        ("core/v1:Service", {}, {"spec": {"type": "NodePort"}}, []),
        ("core/v1:Service", {}, {"spec": {"clusterIP": "None"}}, ["spec.clusterIP"]),
        ("core/v1:PersistentVolumeClaim", {}, {"spec": {"resources": {"requests": {"storage": "20Gi"}}}}, []),
        (
            "core/v1:PersistentVolumeClaim",
            {},
            {"spec": {"storageClassName": "fast"}},
            ["spec.storageClassName"],
        ),
    ],
)
def test_replacements(
    cluster: Kubernetes, kind: str, olds: dict[str, Any], news: dict[str, Any], replaced: list[str]
) -> None:
    found = diff(cluster, kind, inputs(kind, **olds), inputs(kind, **news))
    assert found.changes
    assert [change.path for change in found.replaces] == replaced


def test_a_selector_forces_a_replacement(cluster: Kubernetes) -> None:
    other = {"app": "other"}
    spec = {**SPECS["apps/v1:Deployment"], "selector": {"matchLabels": other}}
    spec["template"] = {"metadata": {"labels": other}, "spec": POD}
    found = diff(
        cluster, "apps/v1:Deployment", inputs("apps/v1:Deployment"), inputs("apps/v1:Deployment", spec=spec)
    )
    assert [change.path for change in found.replaces] == ["spec.selector.matchLabels.app"]
    assert "spec.template.metadata.labels.app" in [change.path for change in found.changes]


def test_the_same_name_in_the_same_place_must_go_first(cluster: Kubernetes) -> None:
    def replace(before: dict[str, Any], after: dict[str, Any]) -> Difference:
        return diff(
            cluster, "core/v1:ConfigMap", {**before, "data": {"a": "b"}}, {**after, "data": {"a": "c"}}
        )

    web = {"metadata": {"name": "web"}}
    assert replace(web, web).delete_first
    assert not replace(web, {"metadata": {"name": "other"}}).delete_first
    assert not replace({}, {}).delete_first, "an automatic name makes room for the new object"


@pytest.mark.parametrize(
    ("kind", "setting", "field"),
    [("ConfigMap", "enableConfigMapMutable", "data"), ("Secret", "enableSecretMutable", "stringData")],
)
def test_data_may_be_mutable(cluster: Kubernetes, kind: str, setting: str, field: str) -> None:
    cluster.configure({setting: "true"})
    kind = f"core/v1:{kind}"
    before, after = inputs(kind, **{field: {"a": "b"}}), inputs(kind, **{field: {"a": "c"}})
    assert diff(cluster, kind, before, after).replaces == []
    fixed = {"immutable": True}
    assert diff(cluster, kind, {**before, **fixed}, {**after, **fixed}).replaces


def test_a_claim_cannot_shrink(cluster: Kubernetes) -> None:
    kind = "core/v1:PersistentVolumeClaim"
    old = accepted(cluster, kind, inputs(kind))
    smaller = inputs(kind, spec={"resources": {"requests": {"storage": "9Gi"}}})
    [failure] = check(cluster, kind, smaller, old).failures
    assert str(failure) == "spec.resources.requests.storage: a claim cannot shrink: found 9Gi, it has 10Gi"


def test_a_preview_knows_names_and_not_what_the_server_adds(cluster: Kubernetes) -> None:
    kind = "core/v1:Service"
    outputs = cluster.preview_create(resource(kind), accepted(cluster, kind, inputs(kind)))
    assert outputs["metadata"]["name"] == "web"
    assert outputs["metadata"]["uid"] is UNKNOWN
    assert outputs["spec"]["clusterIP"] is UNKNOWN
    assert outputs["spec"]["ports"] == [{"port": 80}]
    assert outputs["status"] is UNKNOWN


def test_life_of_an_object(cluster: Kubernetes) -> None:
    kind = "apps/v1:Deployment"
    one = resource(kind)
    first = accepted(cluster, kind, inputs(kind))
    object_id, outputs = cluster.create(one, first)
    assert object_id == "default/web"
    assert outputs["status"]["availableReplicas"] == 2
    assert outputs["metadata"]["generation"] == 1
    assert cluster.read(one, object_id, first, outputs) == (object_id, first, outputs)

    second = accepted(cluster, kind, inputs(kind, spec={"replicas": 3}), first)
    expected = cluster.preview_update(one, (first, outputs), second)
    assert expected["spec"]["replicas"] == 3
    assert expected["metadata"]["uid"] == outputs["metadata"]["uid"]
    updated = cluster.update(one, object_id, outputs, second)
    assert updated["status"]["availableReplicas"] == 3
    assert updated["metadata"]["generation"] == 2
    assert updated["metadata"]["uid"] == outputs["metadata"]["uid"]

    cluster.delete(one, object_id, updated)
    assert cluster.read(one, object_id, second, updated)[0] == ""
    with pytest.raises(ProviderError, match="not found"):
        cluster.update(one, object_id, updated, second)


def test_the_same_run_gives_the_same_values() -> None:
    def outputs() -> Any:
        provider = Kubernetes(Store())
        provider.configure({})
        return provider.create(
            resource("core/v1:Service"), accepted(provider, "core/v1:Service", inputs("core/v1:Service"))
        )

    assert outputs() == outputs()


def test_names_collide_within_a_kind_and_a_namespace(cluster: Kubernetes) -> None:
    kind = "core/v1:ConfigMap"
    cluster.create(resource(kind, "one"), accepted(cluster, kind, inputs(kind)))
    with pytest.raises(ProviderError, match="configmaps 'web' already exists"):
        cluster.create(resource(kind, "two"), accepted(cluster, kind, inputs(kind)))
    elsewhere = inputs(kind, metadata={"namespace": "other"})
    assert cluster.create(resource(kind, "three"), accepted(cluster, kind, elsewhere))[0] == "other/web"
    assert cluster.create(resource("core/v1:Secret"), inputs("core/v1:Secret"))[0] == "web"


def test_every_version_of_an_api_shows_the_same_object(cluster: Kubernetes) -> None:
    spec = {
        "maxReplicas": 3,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    }
    new, old = "autoscaling/v2:HorizontalPodAutoscaler", "autoscaling/v1:HorizontalPodAutoscaler"
    object_id, _ = cluster.create(resource(new), accepted(cluster, new, inputs(new, spec=spec)))
    assert cluster.read(resource(old), object_id, {}, {})[0] == object_id


def test_an_import_reads_what_is_there(cluster: Kubernetes) -> None:
    kind = "core/v1:Secret"
    news = accepted(cluster, kind, inputs(kind, stringData={"token": "hunter22"}))
    object_id, _ = cluster.create(resource(kind), news)
    found, read, _ = cluster.read(resource(kind, "imported"), object_id, {}, {})
    assert found == object_id
    assert read["metadata"]["name"] == "web"
    assert reveal(read["stringData"]) == "(changed outside)"


def test_a_custom_resource_is_checked_for_its_frame_only(cluster: Kubernetes) -> None:
    kind = "cert-manager.io/v1:Certificate"
    free = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "spec": {"anything": [1]}}
    checked = accepted(cluster, kind, {**free, "metadata": {"name": "web"}})
    assert cluster.create(resource(kind), checked)[0] == "default/web"
    [failure] = check(cluster, kind, {**free, "metadata": {"name": "web", "lables": {}}}).failures
    assert str(failure) == "metadata.lables: unknown property; did you mean labels?"


def test_an_api_that_the_release_dropped_is_refused(cluster: Kubernetes) -> None:
    kind = "policy/v1beta1:PodDisruptionBudget"
    [failure] = check(cluster, kind, inputs(kind, spec={"maxUnavailable": 1})).failures
    assert str(failure) == "apiVersion: Kubernetes 1.34 has no policy/v1beta1 PodDisruptionBudget"


def test_another_release_can_be_chosen(cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIXIA_SIMULATOR_KUBERNETES", "1.25")
    kind = "apps/v1:Deployment"
    pod = {**POD, "containers": [{**POD["containers"][0], "restartPolicy": "Always"}]}
    newer = inputs(kind, spec={"template": {"spec": pod}})
    [failure] = check(cluster, kind, newer).failures
    assert str(failure) == (
        "spec.template.spec.containers[0].restartPolicy: unknown property in Kubernetes 1.25"
    )


@pytest.mark.parametrize("setting", ["context", "cluster", "kubeconfig"])
def test_another_cluster_replaces_everything(cluster: Kubernetes, setting: str) -> None:
    found = cluster.diff_config({setting: "a"}, {setting: "b"})
    assert [change.path for change in found.replaces] == [setting]


def test_the_provider_checks_its_own_settings(cluster: Kubernetes) -> None:
    found = cluster.check_config({"contxt": "a", "deleteUnreachable": "maybe", "enableSecretMutable": "true"})
    assert {str(failure) for failure in found.failures} == {
        "contxt: unknown property; did you mean context?",
        'deleteUnreachable: expected a boolean, found a string "maybe"',
    }


def test_two_contexts_are_two_clusters(cluster: Kubernetes, tmp_path: Any) -> None:
    for context in ("one", "two"):
        provider = Kubernetes(Store(tmp_path))
        provider.configure({"context": context})
        provider.create(resource("core/v1:ConfigMap"), inputs("core/v1:ConfigMap"))
    assert len(list(tmp_path.rglob("web.json"))) == 2


def test_a_failure_never_repeats_a_secret(cluster: Kubernetes) -> None:
    news = inputs("core/v1:ConfigMap", metadata={"labels": {"token": Secret("hunter22!")}})
    [failure] = check(cluster, "core/v1:ConfigMap", news).failures
    assert "hunter" not in str(failure)
    assert "[secret]" in str(failure)
