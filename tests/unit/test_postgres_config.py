"""PostgreSQL's configuration, by the size of its pod and the settings."""

import re

import pytest

from components.data import postgres_config
from components.data.postgres_config import ALLOWED, Server, pg_hba_conf, postgresql_conf


def server(**changes: object) -> Server:
    given = {"memory": "4Gi", "cpu": "2", "storage": "100Gi", "database": "fixia", **changes}
    return Server(**given)  # type: ignore[arg-type]


def values(text: str) -> dict[str, str]:
    """Each parameter's value; the last one of a name counts."""
    return dict(re.findall(r"^([a-z_.]+) = '?(.*?)'?$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (
            {"memory": "256Mi", "cpu": "250m", "storage": "1Gi"},
            {
                "shared_buffers": "64MB",
                "effective_cache_size": "179MB",
                "work_mem": "1024kB",
                "maintenance_work_mem": "16MB",
                "max_parallel_workers": "1",
                "max_parallel_workers_per_gather": "1",
                "max_wal_size": "128MB",
                "min_wal_size": "80MB",
                "max_slot_wal_keep_size": "256MB",
            },
        ),
        (
            {"memory": "4Gi", "cpu": "2", "storage": "100Gi"},
            {
                "shared_buffers": "1024MB",
                "effective_cache_size": "2867MB",
                "work_mem": "5242kB",
                "maintenance_work_mem": "256MB",
                "max_worker_processes": "8",
                "max_parallel_workers": "2",
                "max_wal_size": "12800MB",
                "min_wal_size": "3200MB",
                "max_slot_wal_keep_size": "10240MB",
            },
        ),
        (
            {"memory": "64Gi", "cpu": "16", "storage": "2Ti"},
            {
                "shared_buffers": "16384MB",
                "maintenance_work_mem": "1024MB",
                "max_worker_processes": "32",
                "max_parallel_workers": "16",
                "max_parallel_workers_per_gather": "8",
                "max_wal_size": "16384MB",
                "max_slot_wal_keep_size": "10240MB",
            },
        ),
    ],
)
def test_what_is_sized_is_sized_by_the_pod(size: dict[str, str], expected: dict[str, str]) -> None:
    assert values(postgresql_conf(server(**size))).items() >= expected.items()


@pytest.mark.parametrize("memory", ["1Gi", "4Gi", "64Gi"])
def test_memory_never_passes_the_limit(memory: str) -> None:
    told = values(postgresql_conf(server(memory=memory)))
    bytes_of = {name: int(value[:-2]) * {"MB": 2**20, "kB": 2**10}[value[-2:]] for name, value in told.items()
                if name.endswith("_mem") or name == "shared_buffers"}  # fmt: skip
    most = bytes_of["shared_buffers"] + 100 * 2 * bytes_of["work_mem"] + 4 * bytes_of["maintenance_work_mem"]
    assert most <= 0.8 * postgres_config.binary(memory)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ssl", "on"),
        ("ssl_min_protocol_version", "TLSv1.2"),
        ("password_encryption", "scram-sha-256"),
        ("max_connections", "100"),
        ("jit", "off"),
        ("wal_log_hints", "on"),
        ("wal_level", "replica"),
        ("archive_mode", "off"),
        ("huge_pages", "off"),
        ("allow_alter_system", "off"),
        ("log_min_duration_statement", "500ms"),
        ("log_statement", "none"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("hba_file", "/etc/database/pg_hba.conf"),
    ],
)
def test_settings_that_everything_relies_on(name: str, value: str) -> None:
    assert values(postgresql_conf(server()))[name] == value


def test_an_archive_takes_what_is_written_within_a_minute() -> None:
    told = values(postgresql_conf(server(archive_command="archive '%p'")))
    assert told["archive_mode"] == "on"
    assert told["archive_command"] == "archive ''%p''"
    assert told["archive_timeout"] == "60s"


def test_every_value_has_its_reason() -> None:
    for block in postgresql_conf(server()).split("# ---")[2:]:
        assert "\n# " in block or block.startswith(" The same")
    assert "$" not in postgresql_conf(server())


def test_overrides_come_last_and_are_quoted() -> None:
    told = postgresql_conf(server(parameters={"jit": True, "work_mem": "8MB", "random_page_cost": 2.0}))
    assert told.endswith("\njit = 'on'\nrandom_page_cost = '2.0'\nwork_mem = '8MB'\n")
    assert values(told)["jit"] == "on"


@pytest.mark.parametrize(
    "name", ["ssl", "listen_addresses", "archive_mode", "hba_file", "max_connections", "log_statement"]
)
def test_what_is_the_platforms_own_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is the platform's own"):
        postgresql_conf(server(parameters={name: "x"}))


@pytest.mark.parametrize("name", ["work_memm", "fsync", "full_page_writes", "Work_mem", "include", ""])
def test_what_is_unknown_or_unsafe_is_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"'{name}' is unknown, or not one that is safe to change"
    ) as refusal:
        postgresql_conf(server(parameters={name: "off"}))
    assert "work_mem" in str(refusal.value)


def test_a_value_cannot_smuggle_in_a_line() -> None:
    with pytest.raises(ValueError, match="one line"):
        postgresql_conf(server(parameters={"work_mem": "1MB'\nssl = off"}))
    assert "work_mem = '1MB'' \\\\'" in postgresql_conf(server(parameters={"work_mem": "1MB' \\"}))


def test_nothing_that_keeps_data_safe_may_be_changed() -> None:
    safe = {"fsync", "full_page_writes", "synchronous_commit", "wal_level", "ssl", "password_encryption"}
    assert not safe & ALLOWED


@pytest.mark.parametrize(
    "size",
    [{"memory": "128Mi"}, {"memory": "4G"}, {"memory": ""}, {"memory": "1.5Gi"}, {"storage": "512Mi"},
     {"storage": "x"}, {"cpu": "1.5"}, {"cpu": ""}, {"cpu": "-1"}],
)  # fmt: skip
def test_a_size_that_says_nothing_or_too_little_is_refused(size: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"256Mi|1Gi|4Gi|500m"):
        postgresql_conf(server(**size))


def test_only_tls_and_passwords_from_outside_and_the_superuser_from_within() -> None:
    rules = [line.split() for line in pg_hba_conf("my_product").splitlines() if line and line[0] != "#"]
    assert rules[0] == ["local", "all", "postgres", "peer"]
    assert rules[-1] == ["host", "all", "all", "all", "reject"]
    let_in = [rule for rule in rules[1:] if rule[-1] != "reject"]
    assert [rule[0] for rule in let_in] == ["local", "hostssl", "hostssl"]
    assert {rule[-1] for rule in let_in} == {"scram-sha-256"}
    assert [rule[1] for rule in let_in] == ['"my_product"', "replication", '"my_product"']
    assert let_in[0][2] == "backup"


def test_logins_take_turns() -> None:
    assert [postgres_config.login("app", epoch) for epoch in (0, 1, 2, 3, 7)] == [
        "app_0", "app_1", "app_2", "app_0", "app_1",
    ]  # fmt: skip
    assert postgres_config.database_name("my-product") == "my_product"


@pytest.mark.parametrize("value", ["", "two\nlines", "tail\n", "nul\0"])
def test_a_password_that_a_file_would_change_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        postgres_config.password(value)
    assert postgres_config.password("ünï \"' \\") == "ünï \"' \\"
