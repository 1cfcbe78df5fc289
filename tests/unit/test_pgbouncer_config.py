"""What PgBouncer is told, and how the connections are shared out."""

import configparser
from typing import Any

import pytest

from components.data import pgbouncer_config as config
from components.data.pgbouncer_config import ServerConnections, config_files, server_connections


def files(**changes: Any) -> dict[str, str]:
    given: dict[str, Any] = {"host": "database.fixia-data.svc", "port": 5432, "database": "fixia"}
    return config_files(server_connections(20, 4), **{**given, **changes})


def ini(**changes: Any) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",))
    parsed.read_string(files(**changes)["pgbouncer.ini"])
    return parsed


@pytest.mark.parametrize("budget", range(12, 200, 7))
@pytest.mark.parametrize("pods", [2, 4, 6])
def test_all_pods_together_never_exceed_the_budget(budget: int, pods: int) -> None:
    if budget // pods < 3:
        return
    each = server_connections(budget, pods)
    assert each.total * pods <= budget < (each.total + 1) * pods
    assert min(each.pool, each.reserve, each.lookup) >= 1
    assert each.total == each.pool + each.reserve + each.lookup


def test_a_share_in_numbers() -> None:
    assert server_connections(20, 4) == ServerConnections(pool=3, reserve=1, lookup=1)
    assert server_connections(20, 2) == ServerConnections(pool=8, reserve=1, lookup=1)
    assert server_connections(80, 4).transactions == 19


@pytest.mark.parametrize(
    ("budget", "pods", "says"),
    [
        (11, 4, r"^11 server connections over 4 pods at once are 2 for each, .* at least 12, or fewer pods$"),
        (0, 2, r"at least 6"),
        (-5, 2, r"are 0 for each"),
        (20, 0, r"^0 pods"),
    ],
)
def test_a_budget_that_does_not_add_up_is_refused(budget: int, pods: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        server_connections(budget, pods)


def test_every_old_pod_may_still_drain_beside_every_new_one() -> None:
    assert config.pods_at_once(2) == 4


def test_the_limits_are_the_share() -> None:
    pool = ini()
    assert "max_db_connections=4" in pool["databases"]["fixia"]
    assert "pool_size=1 reserve_pool_size=0 max_db_connections=1" in pool["databases"]["lookup"]
    assert (pool["pgbouncer"]["default_pool_size"], pool["pgbouncer"]["reserve_pool_size"]) == ("3", "1")
    assert pool["pgbouncer"]["max_client_conn"] == pool["pgbouncer"]["listen_backlog"] == "1000"


def test_logins_are_passed_on_and_none_is_written_down() -> None:
    pool = ini()
    for database in pool["databases"].values():
        assert "host=database.fixia-data.svc port=5432 dbname=fixia" in database
        assert "user" not in database
        assert "password" not in database
    settings = pool["pgbouncer"]
    assert settings["auth_query"] == "SELECT usename, passwd FROM pooler.user_lookup($1)"
    assert (settings["auth_user"], settings["auth_dbname"]) == ("pooler", "lookup")
    assert "admin_users" not in settings
    assert settings["verbose"] == "0"  # more of it writes passwords


def test_settings_that_clients_rely_on() -> None:
    settings = ini()["pgbouncer"]
    for name, value in {
        "pool_mode": "transaction",
        "max_prepared_statements": "200",
        "query_wait_timeout": "15",
        "idle_transaction_timeout": "60",
        "server_login_retry": "1",
        "client_tls_sslmode": "require",
        "server_tls_sslmode": "verify-full",
        "ignore_startup_parameters": "extra_float_digits",
    }.items():
        assert settings[name] == value


def test_only_the_products_database_is_for_the_network_and_only_encrypted() -> None:
    rules = [line.split() for line in files()["hba.conf"].splitlines() if not line.startswith("#")]
    assert rules[0] == ["local", "pgbouncer", "stats", "trust"]
    network = [rule for rule in rules if rule[0] != "local"]
    assert {rule[0] for rule in network} == {"hostssl"}
    assert [rule for rule in network if rule[3] == "all"] == [
        ["hostssl", "fixia", "pooler,stats", "all", "reject"],
        ["hostssl", "fixia", "all", "all", "scram-sha-256"],
    ]


@pytest.mark.parametrize("database", ["", "Fixia", "a b", "x;y", "lookup", "pgbouncer", "fixia\nport=1"])
def test_a_name_that_means_something_else_is_refused(database: str) -> None:
    with pytest.raises(ValueError, match="can't be the database's name"):
        files(database=database)


@pytest.mark.parametrize("host", ["", "a b", "/run/postgresql", "-a", "host\n", "a,b"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="not a DNS name"):
        files(host=host)


@pytest.mark.parametrize("password", ["", "two\nlines"])
def test_a_password_that_a_file_would_change_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        config.password_file(password)


def test_nothing_is_left_to_fill_in() -> None:
    for text in files().values():
        assert "${" not in text
        assert text.isascii()
        assert max(map(len, text.splitlines())) <= 140
