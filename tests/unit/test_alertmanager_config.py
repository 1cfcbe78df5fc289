"""What Alertmanager is told: no secret in it, every receiver where the table says, links that lead somewhere."""

import re
from typing import Any

import pulumi
import pytest
import yaml

from components.monitoring import alertmanager_config as config
from components.monitoring.routes import KINDS, ROUTES, Kind, Receivers
from tests.recorder import record
from tests.unit.test_routes import credential, receivers

RUNBOOKS = "https://github.com/fixia/platform/blob/main/"


def told(*kinds: Kind, switch: bool = True, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        config.alertmanager_yml(receivers(*kinds, switch=switch), **options)
    )
    return found


def receiver(configuration: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in configuration["receivers"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def route(configuration: dict[str, Any], matcher: str) -> dict[str, Any]:
    (found,) = [each for each in configuration["route"]["routes"] if each["matchers"] == [matcher]]
    assert isinstance(found, dict)
    return found


def values(node: Any, key: str) -> list[Any]:
    """All values of a key, wherever it is."""
    if isinstance(node, dict):
        here = [value for name, value in node.items() if name == key]
        return here + [found for value in node.values() for found in values(value, key)]
    return [found for value in node for found in values(value, key)] if isinstance(node, list) else []


def test_each_severity_is_routed_to_the_receivers_of_its_name() -> None:
    configuration = told(*KINDS)
    for each in ROUTES:
        assert route(configuration, f'severity="{each.severity}"')["receiver"] == each.severity
        names = {f"{kind}_configs" for kind in each.kinds(receivers(*KINDS))}
        assert set(receiver(configuration, each.severity)) == {"name", *names}
    assert configuration["route"]["receiver"] == "P2"  # for what has no severity


def test_the_watchdog_comes_first_and_reaches_the_switch_alone() -> None:
    configuration = told(*KINDS)
    first = configuration["route"]["routes"][0]
    assert first["matchers"] == ['alertname="Watchdog"']
    assert first["receiver"] == "dead-mans-switch"
    assert (first["group_wait"], first["group_interval"]) == ("0s", "1m")
    assert not first.get("continue")
    assert receiver(configuration, "dead-mans-switch")["webhook_configs"] == [
        {"url_file": "/run/secrets/receivers/dead-mans-switch-url", "send_resolved": False}
    ]
    others = [each["receiver"] for each in configuration["route"]["routes"][1:]]
    assert "dead-mans-switch" not in others


def test_without_a_switch_the_watchdog_reaches_nobody() -> None:
    configuration = told("slack", switch=False)
    assert configuration["route"]["routes"][0]["receiver"] == "nobody"
    assert receiver(configuration, "nobody") == {"name": "nobody"}


def test_everybody_is_told_the_end_too() -> None:
    configuration = told(*KINDS)
    for each in ROUTES:
        for configs in receiver(configuration, each.severity).values():
            if isinstance(configs, list):
                assert [one["send_resolved"] for one in configs] == [True]


def test_every_secret_is_a_file() -> None:
    text = config.alertmanager_yml(receivers(*KINDS, switch=True))
    assert "secret" not in text.replace("/run/secrets/", "")
    configuration = yaml.safe_load(text)
    for inline in ("api_url", "routing_key", "service_key", "url", "auth_password", "smtp_auth_password"):
        assert values(configuration, inline) == []
    files = {
        value
        for key in ("api_url_file", "routing_key_file", "url_file", "smtp_auth_password_file")
        for value in values(configuration, key)
    }
    assert files == {
        f"/run/secrets/receivers/{name}"
        for name in ("slack-url", "email-password", "pagerduty-key", "webhook-url", "dead-mans-switch-url")
    }


def test_the_secret_has_what_the_configuration_names_and_nothing_more() -> None:
    for kinds in (KINDS, ("slack",), ("email", "webhook")):
        told_of = receivers(*kinds, switch=kinds == KINDS)
        text = config.alertmanager_yml(told_of)
        assert set(files_of(told_of)) == set(re.findall(r"/run/secrets/receivers/([\w-]+)", text))


def files_of(told_of: Receivers) -> dict[str, str]:
    found: dict[str, str] = {}
    record(lambda: config.secret_files(told_of).apply(found.update))
    return found


@pytest.mark.parametrize("wrong", ["", "  ", "one\ntwo"])
def test_a_secret_that_is_no_line_is_refused(wrong: str) -> None:
    with pytest.raises(Exception, match=r"dead-mans-switch-url: it is empty or more than a line"):
        files_of(Receivers(slack=receivers("slack").slack, dead_mans_switch=credential(wrong)))


def test_a_secret_loses_the_line_end_that_a_file_leaves() -> None:
    told_of = Receivers(slack=receivers("slack").slack, dead_mans_switch=credential("https://x\n"))
    assert files_of(told_of)["dead-mans-switch-url"] == "https://x"


def test_the_files_are_secret_to_the_engine() -> None:
    known: list[bool] = []

    async def ask() -> None:
        known.append(await config.secret_files(receivers("slack")).is_secret())

    record(lambda: pulumi.Output.from_input(ask()))
    assert known == [True]


def test_mail_goes_by_tls_or_not_at_all() -> None:
    everywhere = told("email")["global"]
    assert everywhere["smtp_require_tls"] is True
    assert everywhere["smtp_smarthost"] == "smtp.resend.com:587"
    assert "smtp_smarthost" not in told("slack")["global"]


def test_pagerduty_learns_how_urgent_it_is() -> None:
    configuration = told(*KINDS)
    urgency = {
        severity: receiver(configuration, severity)["pagerduty_configs"][0]["severity"]
        for severity in ("P1", "P2")
    }
    assert urgency == {"P1": "critical", "P2": "warning"}
    alone = told("pagerduty")
    assert [receiver(alone, severity)["pagerduty_configs"][0]["severity"] for severity in ("P3", "P4")] == [
        "info"
    ] * 2


def test_working_hours_are_those_of_the_timezone() -> None:
    configuration = told(*KINDS, timezone="Europe/Berlin")
    (interval,) = configuration["time_intervals"]
    assert interval["name"] == "working-hours"
    (hours,) = interval["time_intervals"]
    assert hours["weekdays"] == ["monday:friday"]
    assert hours["times"] == [{"start_time": "08:00", "end_time": "18:00"}]
    assert hours["location"] == "Europe/Berlin"
    limited = [each for each in configuration["route"]["routes"] if "active_time_intervals" in each]
    assert [each["matchers"] for each in limited] == [['severity="P3"']]
    with pytest.raises(ValueError, match="timezone"):
        told("slack", timezone="Europe/Nowhere")


def test_a_p1_is_never_hidden_and_missing_labels_are_not_equal() -> None:
    rules = told("slack")["inhibit_rules"]
    assert rules
    for rule in rules:
        assert 'severity=~"P2|P3|P4"' in rule["target_matchers"]
        for label in rule["equal"]:
            assert f'{label}=~".+"' in rule["source_matchers"]


def test_links_to_dashboards_are_there_when_there_are_dashboards() -> None:
    for dashboards in (True, False):
        (pager,) = receiver(told(*KINDS, dashboards=dashboards), "P1")["pagerduty_configs"]
        assert [link["text"] for link in pager["links"]] == ["Runbook", *(["Dashboard"] * dashboards)]
    with_them = config.templates("production", runbooks=RUNBOOKS, dashboards="https://grafana.example/")
    assert '{{ define "stack.dashboards" }}https://grafana.example{{ end }}' in with_them["stack.tmpl"]
    without = config.templates("production", runbooks=RUNBOOKS)["stack.tmpl"]
    assert '{{ define "stack.dashboard.text" }}{{ end }}' in without


def test_every_template_that_is_used_is_defined_once() -> None:
    files = config.templates("production", runbooks=RUNBOOKS, dashboards="https://grafana.example")
    text = "".join(files.values())
    defined = re.findall(r'define "([\w.]+)"', text)
    used = re.findall(
        r'template "([\w.]+)"', text + config.alertmanager_yml(receivers(*KINDS), dashboards=True)
    )
    assert len(defined) == len(set(defined))
    assert set(used) <= set(defined)
    roots = {"platform.title", "platform.slack", "platform.text", "platform.html"}
    assert set(defined) - set(used) <= roots


@pytest.mark.parametrize(
    "wrong",
    ["github.com/x", "ftp://x", "https://x/{{ end }}", 'https://x/"onclick=', "https://x y", "https://x<y"],
)
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"runbooks: .*; valid: an address that begins with https://"):
        config.templates("production", runbooks=wrong)
    with pytest.raises(ValueError, match="dashboards: "):
        config.templates("production", runbooks=RUNBOOKS, dashboards=wrong)


def test_replicas_trust_their_own_name_alone() -> None:
    told_of = yaml.safe_load(config.cluster_tls("alertmanager"))
    server, client = told_of["tls_server_config"], told_of["tls_client_config"]
    assert server["client_auth_type"] == "RequireAndVerifyClientCert"
    assert server["client_allowed_sans"] == ["alertmanager"]
    assert client["server_name"] == "alertmanager"
    assert server["client_ca_file"] == client["ca_file"] == "/run/secrets/tls/ca.crt"


def test_amtool_is_told_of_a_password_by_its_file() -> None:
    files = {name: yaml.safe_load(text) for name, text in config.amtool_files(9093).items()}
    assert files["config.yml"] == files["amtool.yml"]  # upstream's place, and Debian's
    assert files["config.yml"] == {
        "alertmanager.url": "https://localhost:9093",
        "http.config.file": "/etc/amtool/http.yml",
    }
    assert files["http.yml"]["basic_auth"] == {
        "username": "platform",
        "password_file": "/run/secrets/access/password",
    }
    # Each probe by HTTP/2 leaves a server's panic of 35 lines in the log.
    assert files["http.yml"]["enable_http2"] is False
