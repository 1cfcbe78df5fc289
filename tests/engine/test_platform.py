"""The whole platform through the real engine: preview, up, edits, destroy."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.session import Session
from tests.engine.platform import Config, Platform, broken, config, core, operations, policies, program_copy
from tests.recorder import ROOT

pytestmark = pytest.mark.engine

ALL_POLICIES = policies()


@pytest.fixture(autouse=True)
def _the_repositorys_own_files_stay_as_they_are() -> Iterator[None]:
    before = {file: file.read_bytes() for file in ROOT.glob("Pulumi*.yaml")}
    yield
    assert {file: file.read_bytes() for file in ROOT.glob("Pulumi*.yaml")} == before


def start() -> Config:
    """What edits begin with: also a host that leads to what another program runs."""
    settings = core()
    grafana = {
        "host": "grafana",
        "namespace": "monitoring",
        "app": "grafana",
        "service": "grafana",
        "port": 3000,
    }
    settings["fixia:entrance"]["foreignRoutes"] = {"grafana": grafana}
    return settings


@pytest.fixture
def platform(session: Session, tmp_path: Path) -> Platform:
    made = Platform(session, tmp_path)
    session.init(made.stack, made.program)
    return made


@pytest.fixture(scope="module")
def deployed(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The heart of the staging stack, up; tests only preview edits of it."""
    with Session(engine) as session:
        made = Platform(session, tmp_path_factory.mktemp("deployed"))
        session.init(made.stack, made.program)
        done, _ = made.run("up", start())
        assert done.returncode == 0, made.output
        yield made


@pytest.mark.parametrize("stack", ["local", "staging", "production"])
def test_every_stack_previews_clean(session: Session, tmp_path: Path, stack: str) -> None:
    platform = Platform(session, tmp_path, stack=stack)
    session.init(stack, platform.program)
    done, report = platform.run("preview", None, *policies(stack))
    assert done.returncode == 0, platform.output
    assert report.counts["create"] >= 20
    assert set(report.counts) == {"create"}
    assert report.policies >= 40  # those that have something to judge in the smallest stack
    assert not broken(report)
    assert not report.diagnostics
    assert "warning" not in platform.output.lower()


@pytest.mark.heavy
@pytest.mark.parametrize("stack", ["staging", "production"])
def test_after_up_there_is_nothing_to_change_and_no_drift(
    session: Session, tmp_path: Path, stack: str
) -> None:
    platform = Platform(session, tmp_path, stack=stack)
    session.init(stack, platform.program)
    platform.run("up")
    done, report = platform.run("preview", None, "--refresh", "--expect-no-changes", *policies(stack))
    assert done.returncode == 0, platform.output
    assert set(operations(report).values()) == {"refresh"}


def workload(settings: Config) -> dict[str, Any]:
    api: dict[str, Any] = settings["fixia:workloads"]["api"]
    return api


def image(settings: Config) -> None:
    workload(settings)["image"] = "ghcr.io/fixia/api:1.0.1"


def scale(settings: Config) -> None:
    workload(settings)["autoscaling"]["max"] = 4


def variable(settings: Config) -> None:
    settings["fixia:workloads"]["worker"]["config"]["LOG_LEVEL"] = "info"


def rotation(settings: Config) -> None:
    settings["fixia:secrets"]["jwt-secret"]["epoch"] = 2


def quota(settings: Config) -> None:
    settings["fixia:platform"]["namespaces"]["data"]["quota"]["cpu"] = "2"


def drain(settings: Config) -> None:
    settings["fixia:workloads"]["web"]["drainSeconds"] = 45


def silence(settings: Config) -> None:
    settings["fixia:workloads"]["worker"]["talksTo"] = ["pool", "cache"]


def limit(settings: Config) -> None:
    workload(settings)["public"]["requestsPerSecond"] = 20


def tier(settings: Config) -> None:
    settings["fixia:platform"]["namespaces"]["search"] = {"quota": {"cpu": "1", "memory": "1Gi", "pods": 5}}


def host(settings: Config) -> None:
    del settings["fixia:entrance"]["foreignRoutes"]["grafana"]


def second_api(settings: Config) -> None:
    settings["fixia:workloads"]["partners"] = {
        **copy.deepcopy(settings["fixia:workloads"]["web"]),
        "autoscaling": {"min": 1, "max": 1, "cpuPercent": 70, "memoryPercent": 80},
        "talksTo": ["api"],
        "public": None,
    }


def storage(settings: Config) -> None:
    settings["fixia:cache"]["storage"] = "4Gi"


def product(settings: Config) -> None:
    settings["fixia:stack"]["product"] = "shop"


def owner(settings: Config) -> None:
    settings["fixia:stack"]["owner"] = "sre"


NAMESPACE_PARTS = ("", "-namespace", "-quota", "-limits", "-default-deny", "-dns")
RELEASE = {"release-migrate-job": "replace", "release-smoke-job": "replace"}

EDITS: list[tuple[Callable[[Config], None], dict[str, str]]] = [
    (image, {**RELEASE, "api-deployment": "update"}),
    (scale, {"api-autoscaler": "update"}),
    (variable, {"worker-config": "replace", "worker-deployment": "update"}),
    (
        # The previous value and the next become known to those who read it; nobody else notices.
        rotation,
        {
            "credentials-jwt-secret-0": "delete",
            "credentials-jwt-secret-3": "create",
            **{f"{name}-secrets": "replace" for name in ("api", "realtime", "release-smoke")},
            **{f"{name}-deployment": "update" for name in ("api", "realtime")},
            "release-smoke-job": "replace",
        },
    ),
    (quota, {"data-quota": "update"}),
    (drain, {"web-config": "replace", "web-deployment": "update"}),
    (silence, {"worker-egress": "update"}),
    (limit, {"entrance-config": "replace", "entrance-deployment": "update"}),
    (tier, {f"search{part}": "create" for part in NAMESPACE_PARTS}),
    (
        second_api,
        {
            **{
                f"partners{part}": "create"
                for part in (
                    *("", "-config", "-account", "-deployment", "-service", "-autoscaler"),
                    *("-disruption-budget", "-egress", "-to-api"),
                )
            },
        },
    ),
    (storage, {"cache-data": "update"}),
]


@pytest.mark.parametrize(("edit", "expected"), EDITS, ids=[edit.__name__ for edit, _ in EDITS])
def test_an_edit_does_exactly_what_it_should(
    deployed: Platform, edit: Callable[[Config], None], expected: dict[str, str]
) -> None:
    settings = start()
    edit(settings)
    done, report = deployed.run("preview", settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert operations(report) == expected


def test_another_owner_changes_labels_and_replaces_only_the_steps_of_a_release(deployed: Platform) -> None:
    settings = start()
    owner(settings)
    done, report = deployed.run("preview", settings)
    assert done.returncode == 0, done.stdout
    done_to = operations(report)
    assert {name for name, operation in done_to.items() if operation != "update"} == set(RELEASE)
    assert {change.properties for change in report.changes if change.name == "api-service"} == {
        ("metadata.labels.owner",)
    }


def test_another_product_name_is_called_out_as_replacement(deployed: Platform) -> None:
    settings = start()
    product(settings)
    _, report = deployed.run("preview", settings)
    replaced = {change.name: change.causes for change in report.changes if change.operation == "replace"}
    assert "metadata.name" in replaced["app-namespace"]
    assert "spec.selector" in str(replaced["api-deployment"])
    assert "spec.storageClassName" not in str(replaced["cache-data"])


def test_a_fault_in_the_settings_is_one_message_and_no_traceback(deployed: Platform) -> None:
    settings = start()
    workload(settings)["replicas"] = 3
    workload(settings)["autoscaling"]["min"] = 9
    done, _ = deployed.run("preview", settings)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Pulumi.staging.yaml: 2 settings are wrong" in said
    assert "fixia:workloads.api.replicas" in said
    assert "fixia:workloads.api.autoscaling.max" in said
    assert "Traceback" not in said


def test_a_broken_promise_in_the_code_fails_with_the_policy_and_its_remedy(
    platform: Platform, tmp_path: Path
) -> None:
    program = program_copy(tmp_path / "broken")
    pods = program / "components" / "pods.py"
    whole = pods.read_text()
    pods.write_text(whole.replace("allow_privilege_escalation=False", "allow_privilege_escalation=True"))
    assert pods.read_text() != whole
    done, report = platform.run("preview", config(), *ALL_POLICIES, program=program)
    assert done.returncode != 0
    assert {violation.policy for violation in broken(report)} == {"no-privilege-escalation"}
    assert all("allowPrivilegeEscalation" in violation.message for violation in broken(report))
    resources = " ".join(violation.resource for violation in broken(report))
    for name in ("api-deployment", "cache-stateful-set", "entrance-deployment", "release-migrate-job"):
        assert name in resources
    assert "no-privilege-escalation" in done.stdout + done.stderr


def test_a_misspelt_field_deep_in_an_object_fails_with_its_path(platform: Platform, tmp_path: Path) -> None:
    program = program_copy(tmp_path / "broken")
    entry = program / "__main__.py"
    entry.write_text(
        entry.read_text()
        + 'pulumi_kubernetes.apps.v1.Deployment("odd", spec={"selector": {"matchLabels": {"a": "b"}}, "template": '
        '{"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "odd", "imagePulPolicy": "Always"}]}}},'
        "opts=pulumi.ResourceOptions(provider=opts.providers[0]))\n"
    )
    done, _ = platform.run("preview", config(), program=program)
    assert done.returncode != 0
    assert "spec.template.spec.containers[0].imagePulPolicy" in done.stdout + done.stderr


@pytest.mark.parametrize("aliased", [False, True])
def test_a_renamed_component_is_a_loss_unless_it_has_an_alias(
    deployed: Platform, tmp_path: Path, aliased: bool
) -> None:
    program = program_copy(tmp_path / "renamed")
    entry = program / "__main__.py"
    options = 'pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=[pulumi.Alias(name="credentials")]))'
    made = 'Credentials("credentials", arguments.of_credentials(settings, identity), opts)'
    assert made in entry.read_text()
    again = made.replace('("credentials"', '("keys"').replace("opts)", options + ")" if aliased else "opts)")
    text = entry.read_text().replace(made, again)
    entry.write_text(text)
    done, report = deployed.run("preview", start(), program=program)
    assert done.returncode == 0, done.stdout + done.stderr
    lost = {change.name for change in report.changes if change.operation == "delete"}
    assert ("credentials-jwt-secret-1" in lost) is not aliased
    assert ("api-secrets" in operations(report)) is not aliased


def test_destroy_leaves_nothing(platform: Platform) -> None:
    platform.run("up", core())
    assert len(platform.state()) >= 20
    done, _ = platform.run("destroy")
    assert done.returncode == 0, platform.output
    assert platform.state() == []
    assert [file for file in platform.session.cloud.rglob("*") if file.is_file()] == []


@pytest.mark.heavy
def test_no_secret_leaves_the_engine_in_plain_text(platform: Platform) -> None:
    given = "https://cafe0123456789@errors.example/42"
    platform.run("preview")
    file = platform.folder / f"Pulumi.{platform.stack}.yaml"
    set_secret = ("config", "set", "--secret", "--path", "fixia:secrets.errors-dsn.value", given)
    done = platform.session.pulumi(
        *set_secret,
        "--stack",
        platform.stack,
        "--config-file",
        str(file),
        program=platform.program,
        capture=True,
    )
    assert done.returncode == 0, done.stderr
    assert given not in file.read_text()
    done, _ = platform.run("up", None, "--diff", *ALL_POLICIES)
    assert done.returncode == 0, platform.output
    made = [r for r in platform.state("--show-secrets") if r["type"].endswith("RandomPassword")]
    generated = [r["outputs"]["result"]["plaintext"].strip('"') for r in made]
    assert sorted({len(value) for value in generated}) == [40, 48, 64]
    platform.run("preview", None, "--diff")
    platform.run("refresh", None, "--diff")
    written = [file for file in platform.session.folder.rglob("*") if file.is_file()]
    assert any("stacks" in str(file) for file in written)
    for secret in (given, *generated):
        assert secret not in platform.output
        assert [str(file) for file in written if secret.encode() in file.read_bytes()] == []
