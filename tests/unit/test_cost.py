"""What a month costs: sizes off the resources, prices off the file, and nothing without a source."""

import json
import re
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.cost.estimate import EDGE, Range, estimate, prices_of
from components.cost.ledger import plain
from components.cost.sizes import GIB, Size, sizes, states
from delivery import cost
from simulator.faults import USAGE
from tests.engine.platform import config
from tests.recorder import Recording

PRICES = prices_of()
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that is known only after the update."""


def state(type_: str, name: str, parent: str = "", *, custom: bool = True, **inputs: Any) -> dict[str, Any]:
    return {"urn": urn(type_, name), "type": type_, "parent": parent, "custom": custom, "inputs": inputs}


def urn(type_: str, name: str) -> str:
    return f"urn:pulumi:s::p::{type_}::{name}"


API = urn("fixia:application:Workload", "api")


def workload(
    replicas: int | None = None, cpu: str = "500m", memory: str = "1Gi"
) -> dict[str, dict[str, Any]]:
    containers = [{"resources": {"requests": {"cpu": cpu, "memory": memory}}}]
    spec: dict[str, Any] = {"template": {"spec": {"containers": containers}}}
    if replicas is not None:
        spec["replicas"] = replicas
    found = [
        state("fixia:application:Workload", "api", custom=False),
        state("kubernetes:apps/v1:Deployment", "api-deployment", API, spec=spec),
    ]
    return {each["urn"]: each for each in found}


def scaled(low: int, high: int) -> dict[str, dict[str, Any]]:
    spec = {"minReplicas": low, "maxReplicas": high}
    scaler = state("kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "api-autoscaler", API, spec=spec)
    return {**workload(), scaler["urn"]: scaler}


def digest(before: dict[str, Any], after: dict[str, Any], plan: str | None = None) -> dict[str, Any]:
    steps = [
        {
            "urn": each,
            "op": "x",
            **({"oldState": before[each]} if each in before else {}),
            **({"newState": after[each]} if each in after else {}),
        }
        for each in {**before, **after}
    ]
    return {"steps": steps, "config": {"fixia:edge": json.dumps({"plan": plan})} if plan else {}}


def test_a_deployment_costs_its_requests_times_its_replicas() -> None:
    (found,) = sizes(workload(3))
    assert (found.type, found.name) == ("fixia:application:Workload", "api")
    assert found.low == found.high == Size(vcpu=1.5, memory=3)


def test_an_autoscaler_makes_it_a_range() -> None:
    (found,) = sizes(scaled(2, 5))
    assert (found.low.vcpu, found.high.vcpu) == (1.0, 2.5)


def test_sidecars_count_and_what_runs_before_does_not() -> None:
    states_ = workload(1)
    pod = states_[urn("kubernetes:apps/v1:Deployment", "api-deployment")]["inputs"]["spec"]["template"][
        "spec"
    ]
    asks = {"resources": {"requests": {"cpu": "1"}}}
    pod["initContainers"] = [{**asks, "restartPolicy": "Always"}, asks]
    assert sizes(states_)[0].low.vcpu == 1.5


@pytest.mark.parametrize(
    ("resource", "size"),
    [
        (
            state(
                "kubernetes:core/v1:PersistentVolumeClaim",
                "data",
                spec={"resources": {"requests": {"storage": "50Gi"}}},
            ),
            Size(volume=50),
        ),
        (
            state(
                "kubernetes:apps/v1:StatefulSet",
                "s",
                spec={
                    "replicas": 2,
                    "volumeClaimTemplates": [{"spec": {"resources": {"requests": {"storage": "8Gi"}}}}],
                },
            ),
            Size(volume=16),
        ),
        (
            state(
                "kubernetes:postgresql.cnpg.io/v1:Cluster",
                "database",
                spec={
                    "instances": 3,
                    "storage": {"size": "10Gi"},
                    "resources": {"requests": {"cpu": "1", "memory": "2Gi"}},
                },
            ),
            Size(vcpu=3, memory=6, volume=30),
        ),
        (state("kubernetes:core/v1:Service", "entrance", spec={"type": "LoadBalancer"}), Size(balancers=1)),
        (state("aws:s3/bucket:Bucket", "backups-repository"), Size(buckets=1)),
        (state("aws:kms/key:Key", "backups-repository-key"), Size(keys=1)),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_each_kind_that_costs_is_measured(resource: dict[str, Any], size: Size) -> None:
    (found,) = sizes({resource["urn"]: resource})
    assert found.low == found.high == size


@pytest.mark.parametrize(
    "free",
    [
        state("kubernetes:core/v1:Service", "api", spec={"type": "ClusterIP"}),
        state("kubernetes:core/v1:ConfigMap", "config", data={"a": "b"}),
        state("aws:s3/bucket:Bucket", "backups-repository-logs"),
        state("kubernetes:batch/v1:CronJob", "job", spec={"jobTemplate": {}}),
    ],
    ids=lambda value: value["urn"],
)
def test_what_costs_next_to_nothing_is_left_out(free: dict[str, Any]) -> None:
    assert sizes({free["urn"]: free}) == []


def test_what_is_not_known_yet_is_named_and_counted_as_nothing() -> None:
    states_ = workload(1, cpu=UNKNOWN)
    (found,) = sizes(states_)
    assert found.low == Size(memory=1)
    assert found.unread == ("Deployment/api-deployment",)


@pytest.mark.parametrize(
    "spec", [UNKNOWN, None, {"template": UNKNOWN}, {"template": {"spec": {"containers": UNKNOWN}}}]
)
def test_unknown_blocks_are_no_error(spec: Any) -> None:
    resource = state("kubernetes:apps/v1:Deployment", "d", spec=spec)
    assert sizes({resource["urn"]: resource}) == []


def test_prices_are_multiplied_as_written() -> None:
    found = estimate(sizes(workload(1, cpu="1", memory="1Gi")), PRICES, None)
    expected = 730 * (PRICES["prices"]["vcpu"]["usd"] + PRICES["prices"]["memoryGb"]["usd"])
    assert found.total.low == pytest.approx(expected)


@pytest.mark.parametrize(("plan", "dollars"), [("free", 0), ("pro", 20), ("business", 200)])
def test_the_edge_costs_what_its_plan_costs(plan: str, dollars: int) -> None:
    edge = state("fixia:edge:CloudflareEdge", "edge", custom=False)
    found = cost.compare(digest({}, {edge["urn"]: edge}, plan), PRICES, None)
    assert found.after.components[EDGE, "edge"] == Range(low=dollars, high=dollars)


def test_a_plan_without_a_price_is_said() -> None:
    found = cost.compare(digest({}, {}, "enterprise"), PRICES, None)
    assert found.after.edge == "enterprise"
    assert "no price here: the edge's plan enterprise" in cost.page("s", found.after, PRICES)


def test_before_and_after_of_one_preview_are_apart() -> None:
    found = cost.compare(digest(scaled(1, 3), scaled(2, 6)), PRICES, None)
    assert found.before is not None
    assert found.after.total.low == pytest.approx(2 * found.before.total.low)
    assert (found.after.total - found.before.total).signed().startswith("+$")


def test_a_deleted_component_costs_nothing_after() -> None:
    found = cost.compare(digest(workload(2), {}), PRICES, None)
    assert found.before is not None
    assert found.before.total.low > 0
    assert found.after.total == Range()


def test_a_new_stack_has_no_before() -> None:
    assert cost.compare(digest({}, workload(1)), PRICES, None).before is None


def test_states_take_both_sides_of_a_replacement() -> None:
    old, new = workload(1), workload(2)
    key = urn("kubernetes:apps/v1:Deployment", "api-deployment")
    steps = [
        {"op": "create-replacement", "urn": key, "oldState": old[key], "newState": new[key]},
        {"op": "delete-replaced", "urn": key, "oldState": old[key]},
    ]
    before, after = states({"steps": steps})
    assert before == {key: old[key]}
    assert after == {key: new[key]}


def test_every_price_has_a_source_a_month_and_a_kind() -> None:
    for name, price in PRICES["prices"].items():
        assert price["kind"] in ("list", "document"), name
        assert re.fullmatch(r"20\d\d-\d\d", price["date"]), name
        assert price["source"], name
        assert price["per"], name
        assert price["usd"] >= 0, name
        if price["kind"] == "list":
            assert "https://" in price["source"], name


def test_the_documents_own_sums_are_kept() -> None:
    summary, today, roadmap = PRICES["budgets"]
    assert (sum(row["low"] for row in summary["rows"]), sum(row["high"] for row in summary["rows"])) == (
        22,
        50,
    )
    assert sum(row["high"] for row in today["rows"]) == 90
    assert sum(row["high"] for row in roadmap["rows"]) == 450


def test_every_component_is_beside_one_row_of_each_document(recordings: dict[str, Recording]) -> None:
    """But for the backups, which the roadmap of then did not have."""
    rooms = {each.type.split(":")[1] for each in sizes(recorded_states(recordings["production"]))}
    for budget in PRICES["budgets"]:
        listed = [room for row in budget["rows"] for room in row["components"]]
        assert len(listed) == len(set(listed)), budget["name"]
        assert rooms - set(listed) <= {"backup"}, budget["name"]


def recorded_states(recording: Recording) -> dict[str, dict[str, Any]]:
    return {
        key: {"urn": key, "type": one.type, "parent": one.parent, "custom": one.custom, "inputs": one.inputs}
        for key, one in recording.all.items()
    }


def test_each_of_our_stacks_is_priced_whole(recordings: dict[str, Recording]) -> None:
    found = {stack: sizes(recorded_states(recording)) for stack, recording in recordings.items()}
    for stack, sized in found.items():
        assert [name for each in sized for name in each.unread] == [], stack
        assert {"fixia:data:Database", "fixia:data:Cache", "fixia:application:Workload"} <= {
            each.type for each in sized
        }
    totals = {stack: estimate(sized, PRICES, None).total for stack, sized in found.items()}
    assert totals["staging"].low < totals["production"].low
    assert all(0 < total.low < total.high for total in totals.values())


def test_a_stack_tells_as_an_output_what_the_comment_says(recordings: dict[str, Recording]) -> None:
    for stack, recording in recordings.items():
        plan = cost.plan_of(config(stack))
        found = estimate(sizes(recorded_states(recording)), PRICES, plan)
        told = recording.exports["cost"]
        assert told == found.told(PRICES), stack
        assert told["usdPerMonth"]["low"] == pytest.approx(found.total.low, abs=0.01)
        assert told["components"].keys() >= {"application/api", "data/database", "data/cache"}


def test_what_is_known_only_later_is_told_to_be_left_out() -> None:
    later = plain({"spec": {"replicas": pulumi.Output.from_input(2), "a": [None, "b"]}})
    assert later == {"spec": {"replicas": "known after the update", "a": [None, "b"]}}
    found = estimate(sizes(workload(1, cpu="known after the update")), PRICES, "enterprise").told(PRICES)
    assert "the size of Deployment/api-deployment, not known when it is declared" in found["leftOut"]
    assert "the edge's plan enterprise" in found["leftOut"]


def test_every_pod_that_stays_is_counted(recordings: dict[str, Recording]) -> None:
    staying = [
        one
        for one in recordings["production"].all.values()
        if one.type.startswith("kubernetes:apps/v1:") and "spec" in one.inputs
    ]
    assert len(staying) > 8
    sized = {
        (each.type, each.name): each.low.vcpu for each in sizes(recorded_states(recordings["production"]))
    }
    assert sum(sized.values()) > 0.05 * len(staying)


def test_the_volumes_of_production_are_those_of_its_settings(recordings: dict[str, Recording]) -> None:
    sized = {each.type: each.low for each in sizes(recorded_states(recordings["production"]))}
    assert sized["fixia:data:Database"].volume == 50
    assert sized["fixia:data:Cache"].volume == 8
    assert GIB == 2**30


def test_the_page_stands_beside_the_documents_and_says_what_it_leaves_out() -> None:
    text = cost.page("production", estimate(sizes(scaled(1, 3)), PRICES, "pro"), PRICES)
    assert "beside the operations summary of 2025-11" in text
    assert re.search(r"API +expected +\$7\.00 to \$15\.00 +here \$", text)
    assert "left out: the cluster's own fee" in text


def test_without_a_review_the_command_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cost.main(["--stack", "staging", "--program", str(tmp_path)]) == USAGE
    assert "python -m delivery.review --stack staging" in capsys.readouterr().err


def test_the_command_prints_the_last_review(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/steps-staging.json").write_text(json.dumps(digest({}, workload(2))))
    assert cost.main(["--stack", "staging", "--program", str(tmp_path)]) == 0
    assert "fixia:application:Workload" in capsys.readouterr().out
