"""A stack's settings: what is read, and what a person is told when they are wrong."""

import copy
import json
from typing import Any

import jsonschema
import pytest
import yaml

from components.data.postgres_config import ALLOWED
from components.quantities import quantity
from settings import parameters
from settings.load import SettingsError, parse
from settings.model import Settings
from settings.schema import generated, reference_page, stack_file_schema
from tests.operated import operated
from tests.recorder import ROOT, STACKS, Recording, stack_config


def sections(stack: str = "staging") -> dict[str, Any]:
    """A stack's sections as plain data, to be edited."""
    return {
        key.removeprefix("fixia:"): json.loads(value)
        for key, value in stack_config(stack).items()
        if key.startswith("fixia:")
    }


SECRETS = frozenset({"secrets"})
"""Where a stack has encrypted values."""


def read(data: dict[str, Any], encrypted: frozenset[str] = SECRETS) -> Settings:
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in data.items()}
    return parse(raw, file="Pulumi.staging.yaml", project="fixia", encrypted=encrypted)


def edited(path: str, value: Any) -> dict[str, Any]:
    """The staging stack with the value at a dotted path replaced; `...` removes the key."""
    data = copy.deepcopy(sections())
    *parents, last = path.split(".")
    node = data
    for key in parents:
        node = node[key]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return data


def faults(data: dict[str, Any], encrypted: frozenset[str] = SECRETS) -> dict[str, tuple[str, str]]:
    with pytest.raises(SettingsError) as caught:
        read(data, encrypted)
    for fault in caught.value.faults:
        assert fault.path in str(caught.value)
    return {fault.path: (fault.found, fault.valid) for fault in caught.value.faults}


@pytest.mark.parametrize("stack", STACKS)
def test_the_committed_stacks_are_valid(stack: str) -> None:
    assert read(sections(stack)).stack.environment == stack


@pytest.mark.parametrize(
    ("path", "value", "fault_path", "found", "valid"),
    [
        ("workloads.api.replicas", 3, "workloads.api.replicas", "an unknown key", "one of args, autoscaling, config"),
        ("workloads.api.probes.livness", "/", "workloads.api.probes.livness", "unknown", "did you mean liveness?"),
        ("colour", "blue", "colour", "an unknown key", "cache, cluster, database"),
        ("workloads.api.port", ..., "workloads.api.port", "nothing", "required: Where the container listens"),
        ("cluster", ..., "cluster", "nothing", "required"),
        ("workloads.api.port", "3000", "workloads.api.port", '"3000"', "a valid integer"),
        ("workloads.api.port", 80, "workloads.api.port", "80", "greater than or equal to 1024"),
        ("workloads.api.port", True, "workloads.api.port", "true", "a valid integer"),
        ("workloads.api", "api:1", "workloads.api", '"api:1"', "an object"),
        ("platform", "big", "platform", '"big"', "an object"),
        ("stack.environment", "prod", "stack.environment", '"prod"', "'production'"),
        ("stack.owner", "ops@fixia.app", "stack.owner", '"ops@fixia.app"', "a Kubernetes label's value"),
        ("stack.product", "Fixia", "stack.product", '"Fixia"', "lower-case letters"),
        ("workloads.api.autoscaling.max", 0, "workloads.api.autoscaling.max", "0", "greater than or equal to 1"),
        ("workloads.api.autoscaling.min", 9, "workloads.api.autoscaling.max", "3", "at least min, 9"),
        ("workloads.api.resources.memory", "2Gi", "workloads.api.resources.memoryLimit", '"1280Mi"', "2Gi"),
        ("workloads.api.resources.memory", "512M", "workloads.api.resources.memory", '"512M"', "such as 512Mi"),
        ("workloads.api.resources.cpu", "fast", "workloads.api.resources.cpu", '"fast"', "such as 250m"),
        ("workloads.api.image", "api:1.0", "workloads.api.image", '"api:1.0"', "with its registry's name"),
        ("workloads.api.image", "ghcr.io/fixia/api", "workloads.api.image", "ghcr.io/fixia/api", "path:tag"),
        ("workloads.api.image", "ghcr.io/fixia/api:latest", "workloads.api.image", "latest", "names one version"),
        ("workloads.api.namespace", "apps", "workloads.api.namespace", "'apps'", "did you mean app?"),
        ("workloads.api.secrets", ["jwt"], "workloads.api.secrets[0]", "'jwt'", "jwt-secret"),
        ("workloads.api.talksTo", ["pol"], "workloads.api.talksTo[0]", "'pol'", "did you mean pool?"),
        ("workloads.api.talksTo", ["api", "internet"], "workloads.api.talksTo[0]", "'api'", "one of cache, collector, internet, pool"),
        ("workloads.api.probes.liveness", "/health", "workloads.api.probes.liveness", "/health", "another path"),
        ("workloads.api.config", {"DB_PASSWORD": "x"}, "workloads.api.config", "DB_PASSWORD", "no credentials"),
        ("workloads.api.config", {"DATABASE_URL": "postgres://u:pw@db/x"}, "workloads.api.config", "", "no credentials: put DATABASE_URL"),
        ("workloads.api.config", {"PORT": "9"}, "workloads.api.config", "PORT", "port, metricsPort and drainSeconds say it"),
        ("workloads.api.args", ["api", "--token=ghp_abcdef"], "workloads.api.args", "", "arguments are there for everybody"),
        ("workloads.api.talksTo", ["worker", "internet"], "workloads.api.talksTo[0]", "'worker'", "a workload with a service"),
        ("entrance.foreignRoutes", {"api": {"host": "x", "namespace": "app", "app": "x", "service": "x", "port": 3000}}, "entrance.foreignRoutes.api", "a name that a workload has", "a name of its own"),
        ("platform.namespaces.data.quota.memory", "256Mi", "platform.namespaces.data.quota.memory", "256Mi", "Mi: what its workloads ask for"),
        ("workloads.api.config", {"log-level": "x"}, "workloads.api.config.log-level", "log-level", "capitals"),
        ("secrets.jwt-secret", {}, "secrets.jwt-secret.value", "nothing", "pulumi config set --secret --path 'secrets.jwt"),
        ("secrets.jwt-secret", {"generate": 64, "value": "x"}, "secrets.jwt-secret", "not shown", "either"),
        ("secrets.jwt-secret.generate", 8, "secrets.jwt-secret.generate", "not shown", "equal to 24"),
        ("workloads.api.metricsPort", 3000, "workloads.api.metricsPort", "3000", "another port than `port`"),
        ("workloads.api.public.host", "@", "workloads.web.public.host", "'@'", "a host that nothing else has"),
        ("workloads.worker.public", {"host": "queue"}, "workloads.worker.public", "queue", "no public host without a service"),
        ("workloads.api.priority", "high", "workloads.api.priority", '"high"', "'critical', 'standard'"),
        ("release.workload", "apii", "release.workload", "'apii'", "did you mean api?"),
        ("cache.namespace", "dat", "cache.namespace", "'dat'", "did you mean data?"),
        ("database.maxConnections", 30, "database.maxConnections", "30", "at least 40: the pool's budget"),
        ("database.pool.replicas", 1, "database.pool.replicas", "1", "greater than or equal to 2"),
        ("cache.storage", "1Gi", "cache.storage", "1Gi", "at least 1280Mi"),
        ("database.standby", 1, "database.standby", "an unknown key", "did you mean standbys?"),
        ("database.pool.budgett", 9, "database.pool.budgett", "an unknown key", "did you mean budget?"),
        ("database.pool", ..., "database.pool", "nothing", "required"),
        ("workloads.api.public.hosts", "x", "workloads.api.public.hosts", "an unknown key", "did you mean host?"),
        ("database.resources.cpu", "0.2", "database.resources.cpu", "0.2", "a quantity of CPUs such as 2 or 500m"),
        ("database.storage", "512Mi", "database.storage", "512Mi", "1Gi or more"),
        ("database.exporterImage", ..., "database.exporterImage", "nothing", "the image of the exporter"),
        ("database.pool.exporterImage", ..., "database.pool.exporterImage", "nothing", "the image of the exporter"),
        ("database.operator", {"apiServer": ["10.0.0.0/16"]}, "database.operator", "an operator", "or `engine: cloudnative-pg`"),
        ("database.engine", "oracle", "database.engine", '"oracle"', "'postgres' or 'cloudnative-pg'"),
        ("stack.product", "pgbouncer", "stack.product", "pgbouncer", "which PgBouncer has for itself"),
        ("stack.domain", "Fixia.app", "stack.domain", '"Fixia.app"', "a domain name in lower case"),
        ("entrance.trustedRanges", ["10.0.0.1/16"], "entrance.trustedRanges[0]", "10.0.0.1/16", "no host bits set"),
        ("entrance.certificate", {}, "entrance.certificate", "{}", "either letsEncrypt or originCa"),
        ("entrance.certificate.letsEncrypt.token", "tok", "entrance.certificate.letsEncrypt.token", "'tok'", "one of"),
        ("platform.namespaces.app.quota.cpu", "500m", "platform.namespaces.app.quota.cpu", "500m", "at least 2.050"),
        ("platform.namespaces.app.quota.memory", "1Gi", "platform.namespaces.app.quota.memory", "1Gi", "at least 4224Mi"),
        ("platform.namespaces.app.quota.pods", 3, "platform.namespaces.app.quota.pods", "3", "at least 14"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_told_with_its_path(
    path: str, value: Any, fault_path: str, found: str, valid: str
) -> None:
    told = faults(edited(path, value))
    assert set(told) == {f"fixia:{fault_path}"}
    told_found, told_valid = told[f"fixia:{fault_path}"]
    assert found in told_found
    assert valid in told_valid


PARAMETERS = [
    ("work_men", "64MB", "parameter 'work_men' is unknown"),
    ("port", 5433, "the platform's own to set"),
    ("archive_mode", "off", "parameter 'archive_mode'"),
    ("work_mem", "64Mi", "a number from 64 to 2147483647 times 1kB, or one with B, kB, MB, GB or TB"),
    ("work_mem", "1kB", "from 64 to"),
    ("work_mem", "5min", "with B, kB, MB, GB or TB"),
    ("work_mem", True, "a number from 64"),
    (
        "checkpoint_timeout",
        "10 minutes",
        "a number from 30 to 86400 times 1s, or one with us, ms, s, min, h or d",
    ),
    ("checkpoint_timeout", 10, "from 30 to 86400 times 1s"),
    ("deadlock_timeout", "-1s", "from 1 to"),
    ("effective_cache_size", "none", "times 8kB"),
    ("jit", "perhaps", "one of on, off"),
    ("plan_cache_mode", True, "one of auto, force_generic_plan, force_custom_plan"),
    ("default_statistics_target", 0, "a whole number from 1 to 10000"),
    ("default_statistics_target", 99.5, "a whole number from 1 to 10000"),
    ("random_page_cost", "cheap", "a number from 0"),
    ("max_wal_size", "16MB", "a number from 32"),
    ("shared_buffers", "300MB", "at most 256MB, half of the memory limit"),
    ("work_mem", "4MB\nport = 1", "is not one line"),
]


@pytest.mark.parametrize(("name", "value", "valid"), PARAMETERS, ids=lambda value: str(value)[:20])
def test_a_parameter_that_postgresql_would_not_take_is_told_with_its_path(
    name: str, value: Any, valid: str
) -> None:
    told = faults(
        edited("database.parameters", {name: value, "jit": True} if name != "jit" else {name: value})
    )
    assert set(told) == {f"fixia:database.parameters.{name}"}
    found, instead = told[f"fixia:database.parameters.{name}"]
    assert found == json.dumps(value)
    assert valid in instead


def test_parameters_that_postgresql_takes_are_taken() -> None:
    fine = {
        "work_mem": "1.5MB",
        "maintenance_work_mem": 65536,
        "checkpoint_timeout": "0.5h",
        "log_min_duration_statement": -1,
        "random_page_cost": 1.1,
        "jit": False,
        "track_io_timing": "off",
        "wal_compression": "zstd",
        "default_statistics_target": "200",
        "shared_buffers": "256MB",
    }
    database = read(edited("database.parameters", fine)).database
    assert database is not None
    assert database.parameters == fine


def test_every_parameter_that_may_be_changed_has_its_bounds() -> None:
    assert {*parameters.NUMBERS, *parameters.CHOICES} == ALLOWED
    assert set(parameters.NUMBERS) > parameters.FRACTIONS


def test_a_memory_limit_that_is_too_small_for_postgresql_is_told_with_its_path() -> None:
    data = edited("database.resources.memoryLimit", "128Mi")
    data["database"]["resources"]["memory"] = "128Mi"
    data["database"]["parameters"] = {"shared_buffers": "1GB"}
    assert faults(data) == {
        "fixia:database.resources.memoryLimit": (
            "128Mi",
            "a memory limit of 128Mi is too small for PostgreSQL: give it 256Mi or more",
        )
    }


def of_the_operator(**changes: Any) -> dict[str, Any]:
    """The staging stack with its database run by the operator."""
    config = operated({f"fixia:{key}": value for key, value in sections().items()})
    data = {key.removeprefix("fixia:"): value for key, value in config.items()}
    return {**data, "database": {**data["database"], **changes}}


def test_the_operator_may_run_the_database() -> None:
    database = read(of_the_operator(standbys=2, maxConnections=200)).database
    assert database is not None
    assert database.operator is not None
    assert (database.engine, database.operator.namespace) == ("cloudnative-pg", "cnpg-system")


@pytest.mark.parametrize(
    ("changes", "path", "found", "valid"),
    [
        ({"claim": "data-database-standby-0"}, "claim", "data-database-standby-0", "it knows which volume"),
        ({"firstStandby": 1}, "firstStandby", "1", "it numbers instances itself"),
        ({"exporterImage": "ghcr.io/x/exporter:1"}, "exporterImage", "exporter:1", "instances serve metrics"),
        ({"image": "ghcr.io/x/postgresql:16.3"}, "image", "16.3", "a tag that begins with 17"),
        ({"image": "ghcr.io/x/postgresql:v17"}, "image", "v17", "a tag that begins with 17"),
        ({"operator": None}, "operator", "nothing", "a section with `apiServer`"),
        ({"parameters": {"archive_timeout": "60s"}}, "parameters.archive_timeout", "60s", "archive_timeout"),
        ({"parameters": {"work_mem": "4mb"}}, "parameters.work_mem", "4mb", "with B, kB, MB"),
        ({"maxConnections": 30}, "maxConnections", "30", "at least 44"),
    ],
)  # fmt: skip
def test_what_the_operator_does_by_itself_is_refused(
    changes: dict[str, Any], path: str, found: str, valid: str
) -> None:
    told = faults(of_the_operator(**changes))
    assert set(told) == {f"fixia:database.{path}"}
    assert found in told[f"fixia:database.{path}"][0]
    assert valid in told[f"fixia:database.{path}"][1]


def with_a_bucket(**changes: Any) -> dict[str, Any]:
    keys = {"key": "jwt-secret", "secret": "jwt-secret"}
    place = {"bucket": "backups", "endpoint": "https://s3.example.com", "region": "here", "keys": keys}
    return {"image": "ghcr.io/fixia/backup:1", "external": place, **changes}


def test_the_operator_backs_up_and_recovers() -> None:
    data = of_the_operator(restore={"id": 1, "to": "2026-11-20 14:03:00+00"})
    assert "aws" in data["backup"]
    assert read(data).database is not None
    for tag in ("17.6", "17.6-system-trixie", f"17.6-system-trixie@sha256:{'0' * 64}"):
        changed = of_the_operator(image=f"registry.example:5000/postgresql-minimal:{tag}")
        assert read({**changed, "backup": with_a_bucket(retentionDays=60)}).backup is not None


@pytest.mark.parametrize(
    ("backup", "database", "path", "found", "valid"),
    [
        ({"cipher": "jwt-secret"}, {}, "backup.cipher", '"jwt-secret"', "it encrypts nothing by itself"),
        ({"promisedRpoSeconds": 300}, {}, "backup.promisedRpoSeconds", "300", "nobody measures it there"),
        ({"promisedRtoSeconds": 60}, {}, "backup.promisedRtoSeconds", "60", "nobody measures it there"),
        ({}, {"image": "ghcr.io/x/pg:17.6-minimal-trixie"}, "database.image", "minimal", "17.6-system-trixie"),
        ({}, {"image": "ghcr.io/x/pg:17-standard"}, "database.image", "standard", "17.6-system-trixie"),
        ({}, {"restore": {"id": 1, "to": "backup"}}, "database.restore.to", "backup", "`latest` or a time"),
        (
            {},
            {"restore": {"id": 1, "to": "latest", "set": "20261120-020000F"}},
            "database.restore.set", "20261120-020000F", "it finds the backup itself",
        ),
    ],
)  # fmt: skip
def test_what_the_operators_backups_can_not_be_is_refused_where_it_is_asked_for(
    backup: dict[str, Any], database: dict[str, Any], path: str, found: str, valid: str
) -> None:
    told = faults({**of_the_operator(**database), "backup": with_a_bucket(**backup)})
    assert set(told) == {f"fixia:{path}"}
    assert found in told[f"fixia:{path}"][0]
    assert valid in told[f"fixia:{path}"][1]


def test_a_copy_for_a_drill_that_the_operator_has_not_is_refused() -> None:
    section = with_a_bucket()
    copy = {"bucket": "copies", "endpoint": "https://s3.example.com", "region": "there"}
    section["external"]["replica"] = copy
    told = faults({**of_the_operator(), "backup": section})
    assert list(told) == ["fixia:backup.external.replica"]
    assert "only our own drill reads it" in told["fixia:backup.external.replica"][1]


def test_the_operator_recovers_nothing_without_backups() -> None:
    data = of_the_operator(restore={"id": 1, "to": "latest"})
    del data["backup"], data["release"]["withoutSnapshot"]
    told = faults(data)
    assert list(told) == ["fixia:database.restore"]
    assert "there is nothing to recover from" in told["fixia:database.restore"][1]


def test_disagreements_are_told_beside_names_of_nothing() -> None:
    data = edited("release.workload", "apii")
    data["workloads"]["worker"]["secrets"] = ["nope"]
    data["cache"]["storage"] = "1Gi"
    told = faults(data, SECRETS | {"workloads"})
    assert set(told) == {
        "fixia:release.workload",
        "fixia:workloads.worker.secrets[0]",
        "fixia:workloads",
        "fixia:cache.storage",
    }


def test_the_page_of_every_key_has_those_of_sections_that_may_be_left_out() -> None:
    page = reference_page("fixia")
    for key in ("database.pool.budget", "entrance.certificate.letsEncrypt.token", "workloads.*.public.host"):
        assert f"| `fixia:{key}` |" in page


def test_all_faults_are_told_at_once() -> None:
    data = edited("workloads.api.port", "3000")
    data["workloads"]["api"]["secrets"] = ["nope"]
    data["stack"]["environment"] = "prod"
    data["typo"] = {}
    told = faults(data)
    assert set(told) == {
        "fixia:workloads.api.port",
        "fixia:workloads.api.secrets[0]",
        "fixia:stack.environment",
        "fixia:typo",
    }


def test_a_circle_of_calls_is_refused_with_its_members() -> None:
    data = sections()
    data["platform"]["namespaces"]["app"]["quota"] = {"cpu": "9", "memory": "20Gi", "pods": 40}
    data["workloads"]["realtime"] = {**data["workloads"]["api"], "talksTo": ["api"]}
    data["workloads"]["api"]["talksTo"] = ["realtime"]
    (_, valid) = faults(data)["fixia:workloads"]
    assert "api" in valid
    assert "realtime" in valid


def test_workloads_come_after_those_that_they_talk_to() -> None:
    data = sections()
    data["platform"]["namespaces"]["app"]["quota"] = {"cpu": "9", "memory": "20Gi", "pods": 40}
    data["workloads"]["zulu"] = {**data["workloads"]["api"], "talksTo": [], "public": None}
    data["workloads"]["api"]["talksTo"] = ["zulu", "internet"]
    order = read(data).workloads_in_order()
    assert sorted(order) == ["api", "realtime", "web", "worker", "zulu"]
    assert order.index("zulu") < order.index("api")


def test_an_empty_or_missing_file_is_told_as_such() -> None:
    told = faults({})
    assert told == {"fixia:*": ("no settings", "a file Pulumi.staging.yaml with the stack's settings")}


def test_an_encrypted_value_is_never_printed() -> None:
    data = edited("secrets.jwt-secret", {"value": 31337})
    with pytest.raises(SettingsError) as caught:
        read(data, frozenset({"secrets"}))
    assert "31337" not in str(caught.value)
    assert caught.value.faults[0].found == "a value that is not shown"


def test_an_encrypted_value_belongs_under_secrets() -> None:
    told = faults(sections(), frozenset({"workloads"}))
    assert told["fixia:workloads"][1].endswith("encrypted values belong under secrets")


def test_a_secret_does_not_show_in_the_settings_text() -> None:
    settings = read(edited("secrets.jwt-secret", {"value": "hunter2-hunter2"}), frozenset({"secrets"}))
    assert "hunter2" not in repr(settings)
    value = settings.secrets["jwt-secret"].value
    assert value is not None
    assert value.get_secret_value() == "hunter2-hunter2"


@pytest.mark.parametrize(
    ("text", "number"),
    [("250m", 0.25), ("2", 2), ("1.5", 1.5), ("1Ki", 1024), ("1Gi", 2**30), ("3M", 3_000_000)],
)
def test_quantities_are_what_kubernetes_means(text: str, number: float) -> None:
    assert float(quantity(text)) == number


def test_what_is_no_quantity_is_refused() -> None:
    for text in ("", "m", "1 Gi", "1gi", "-1"):
        with pytest.raises(ValueError, match="is not a quantity"):
            quantity(text)


@pytest.mark.parametrize("stack", STACKS)
def test_the_editors_schema_accepts_the_committed_stacks(stack: str) -> None:
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=docs/reference/stack-settings.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), stack_file_schema("fixia"))


def test_the_editors_schema_refuses_what_the_model_refuses() -> None:
    file = yaml.safe_load((ROOT / "Pulumi.staging.yaml").read_text())
    file["config"]["fixia:workloads"]["api"]["replicas"] = 3
    with pytest.raises(jsonschema.ValidationError, match="replicas"):
        jsonschema.validate(file, stack_file_schema("fixia"))


def test_an_encrypted_value_is_valid_for_the_editor() -> None:
    file = yaml.safe_load((ROOT / "Pulumi.staging.yaml").read_text())
    file["config"]["fixia:secrets"]["sentry-dsn"] = {"value": {"secure": "v1:abc"}}
    jsonschema.validate(file, stack_file_schema("fixia"))


def test_the_generated_reference_is_current() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, f"{path} is out of date: run `make docs`"


def test_a_workload_may_not_be_called_like_a_part_of_the_platform() -> None:
    data = sections()
    data["platform"]["namespaces"]["app"]["quota"] = {"cpu": "9", "memory": "20Gi", "pods": 40}
    data["workloads"]["cache"] = {**data["workloads"]["web"], "public": None}
    (found, _) = faults(data)["fixia:workloads.cache"]
    assert found == "a name that is taken"


def test_a_host_needs_an_entrance_and_a_call_of_the_cache_needs_a_cache() -> None:
    told = faults(edited("entrance", ...))
    assert told["fixia:workloads.api.public.host"][0] == "a host without an entrance"
    told = faults(edited("cache", ...))
    assert told["fixia:workloads.api.talksTo[1]"] == (
        "'cache'",
        "one of collector, internet, pool, realtime, web, worker",
    )


def test_production_has_at_least_two_pods_of_everything_that_serves() -> None:
    data = sections("production")
    data["workloads"]["web"]["autoscaling"]["min"] = 1
    data["entrance"]["autoscaling"]["min"] = 1
    assert set(faults(data)) == {"fixia:workloads.web.autoscaling.min", "fixia:entrance.autoscaling.min"}


def test_a_credential_in_plain_text_is_refused() -> None:
    told = faults(edited("secrets.jwt-secret", {"value": "hunter2-hunter2"}), frozenset())
    assert told["fixia:secrets.jwt-secret.value"][0] == "plain text"
    assert "hunter2" not in str(told)


def test_migrations_are_told_nothing_of_the_entrance(recording: Recording) -> None:
    told = recording.one("kubernetes:core/v1:ConfigMap", "release-migrate-config").inputs["data"]
    assert {"DRAIN_SECONDS", "LOG_LEVEL", "PGHOST", "PORT"} <= set(told)
    assert not set(told) & {"TRUSTED_PROXIES", "BODY_LIMIT_BYTES", "CORS_ORIGINS", "CONNECT_ORIGINS"}
    tried = recording.one("kubernetes:core/v1:ConfigMap", "release-smoke-config").inputs["data"]
    assert {"TRUSTED_PROXIES", "CORS_ORIGINS"} <= set(tried)
