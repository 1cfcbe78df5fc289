"""What Grafana promises, read off the objects that it makes and the files that it is told by.

Its server can't be had here, so none of this was read by Grafana itself.
"""

import configparser
import re
from dataclasses import replace
from typing import Any

import pulumi
import pytest
import yaml

from components.base import Identity
from components.monitoring import access, grafana_config
from components.monitoring.grafana import Grafana, GrafanaArgs, SignOn, Sso, alerts, watched
from components.network import endpoint
from components.platform.authority import Authority, AuthorityArgs
from components.pods import Resources
from tests.recorder import ROOT, Recording, is_pulumi_secret, record

NAMESPACE = "fixia-monitoring"
PASSWORDS = {"prometheus": "p" * 40, "alertmanager": "a" * 40, "sso": "s" * 40}
BOARDS = {"fixia-operations.json": '{"uid":"fixia-operations"}', "fixia-cache.json": '{"uid":"fixia-cache"}'}
SIGN_ON = SignOn(
    client_id="grafana",
    authorize="https://id.example/authorize",
    token="https://id.example/token",
    userinfo="https://id.example/userinfo",
    domains=["fixia.app", "fixia.email"],
)
IDENTITY = Identity(product="fixia", environment="test", owner="platform-team", cost_centre="core")


def secret(name: str) -> pulumi.Output[str]:
    return pulumi.Output.secret(PASSWORDS[name])


def args(**changes: Any) -> GrafanaArgs:
    prometheus = replace(endpoint(IDENTITY, "prometheus", NAMESPACE, 9090), encrypted=True)
    given: dict[str, Any] = {
        "identity": IDENTITY,
        "namespace": NAMESPACE,
        "image": "registry.example/grafana:13.2.0",
        "resources": Resources(cpu="50m", memory="192Mi", memory_limit="384Mi"),
        "prometheus": prometheus,
        "prometheus_password": secret("prometheus"),
        "authority": Authority("authority", AuthorityArgs(identity=IDENTITY)),
        "boards": BOARDS,
        "priority_class": "standard",
    }
    return GrafanaArgs(**{**given, **changes})


def full() -> GrafanaArgs:
    """Everything that can be told."""
    alertmanager = replace(endpoint(IDENTITY, "alertmanager", NAMESPACE, 9093), encrypted=True)
    return args(
        alertmanager=alertmanager,
        alertmanager_password=secret("alertmanager"),
        logs=endpoint(IDENTITY, "loki", NAMESPACE, 3100),
        traces=replace(endpoint(IDENTITY, "traces", NAMESPACE, 16686), encrypted=True),
        host="grafana.fixia.app",
        sso=Sso(sign_on=SIGN_ON, client_secret=secret("sso")),
    )


@pytest.fixture(scope="module")
def plain() -> Recording:
    return record(lambda: Grafana("grafana", args()) and None)


@pytest.fixture(scope="module")
def whole() -> Recording:
    return record(lambda: Grafana("grafana", full()) and None)


def spec(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = recording.one("kubernetes:apps/v1:Deployment", "grafana-deployment").inputs[
        "spec"
    ]
    return found


def pod(recording: Recording) -> dict[str, Any]:
    found: dict[str, Any] = spec(recording)["template"]["spec"]
    return found


def environment(recording: Recording) -> dict[str, str]:
    (container,) = pod(recording)["containers"]
    return {each["name"]: each["value"] for each in container["env"]}


def files(recording: Recording) -> dict[str, str]:
    """Path in its configuration's folder -> content, as the volume lays them."""
    data = recording.one("kubernetes:core/v1:ConfigMap", "grafana-config").inputs["data"]
    (volume,) = [each for each in pod(recording)["volumes"] if each["name"] == "config"]
    assert {item["key"] for item in volume["configMap"]["items"]} == set(data)
    return {item["path"]: data[item["key"]] for item in volume["configMap"]["items"]}


def settings(recording: Recording) -> configparser.ConfigParser:
    """Its settings, without its own words filled in."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(files(recording)["grafana.ini"])
    return parser


def sources(recording: Recording) -> dict[str, dict[str, Any]]:
    """Every datasource by its uid."""
    read = [yaml.safe_load(text) for path, text in files(recording).items() if "/datasources/" in path]
    assert all(each["apiVersion"] == 1 for each in read)
    return {source["uid"]: source for each in read for source in each["datasources"]}


def secrets(recording: Recording) -> dict[str, Any]:
    made = recording.one("kubernetes:core/v1:Secret", "grafana-secrets").inputs
    found: dict[str, Any] = made["stringData"]
    return found


def plain_secrets(recording: Recording) -> dict[str, str]:
    """The Secret's files; the engine's marks are taken off."""
    found = secrets(recording)
    found = found["value"] if is_pulumi_secret(found) else found
    return {name: value["value"] if is_pulumi_secret(value) else value for name, value in found.items()}


def read_files(recording: Recording) -> set[str]:
    """Every file that it is told to read."""
    return {path for text in files(recording).values() for path in re.findall(r"\$__file\{([^}]+)}", text)}


def test_the_component_registers_what_it_annotates(plain: Recording) -> None:
    (component,) = plain.of_type(Grafana.TYPE)
    assert Grafana.TYPE == "fixia:monitoring:Grafana"
    assert component.outputs == {
        "deployment": "grafana",
        "secret": "grafana-secrets-made-up",
        "service": "grafana",
    }
    assert set(component.outputs) == set(Grafana.outputs())
    assert {child.name for child in plain.children(component.urn) if child.custom} == {
        "grafana-account",
        "grafana-admin-password",
        "grafana-board-fixia-cache",
        "grafana-board-fixia-operations",
        "grafana-certificate",
        "grafana-config",
        "grafana-deployment",
        "grafana-secret-key",
        "grafana-secrets",
        "grafana-service",
    }


def test_there_is_one_that_keeps_nothing(plain: Recording) -> None:
    assert spec(plain)["replicas"] == 1
    volumes = {volume["name"]: volume for volume in pod(plain)["volumes"]}
    assert volumes["data"]["emptyDir"] == {"sizeLimit": "1Gi"}
    assert plain.of_type("kubernetes:core/v1:PersistentVolumeClaim") == []
    writable = [
        mount["name"] for mount in pod(plain)["containers"][0]["volumeMounts"] if not mount.get("readOnly")
    ]
    assert writable == ["tmp", "data"]


def test_the_service_is_where_the_entrance_looks_for_it(plain: Recording) -> None:
    service = plain.one("kubernetes:core/v1:Service", "grafana-service").inputs
    assert service["metadata"]["name"] == "grafana"
    assert service["spec"]["ports"] == [
        {"name": "http", "port": 3000, "targetPort": "http", "protocol": "TCP"}
    ]
    assert service["spec"]["selector"] == spec(plain)["selector"]["matchLabels"]
    labels = spec(plain)["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/name"] == "grafana"
    assert service["spec"]["selector"].items() <= labels.items()
    (container,) = pod(plain)["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 3000, "protocol": "TCP"}]


def test_everything_that_it_fills_in_is_there(plain: Recording, whole: Recording) -> None:
    for recording in (plain, whole):
        named = {name for text in files(recording).values() for name in re.findall(r"\$__env\{(\w+)}", text)}
        told = environment(recording)
        assert named == {name for name in told if not name.startswith("GF_PATHS_")}
        mounted = {
            mount["name"]: mount["mountPath"] for mount in pod(recording)["containers"][0]["volumeMounts"]
        }
        items = {
            f"{mounted[volume['name']]}/{item['path']}"
            for volume in pod(recording)["volumes"]
            if "secret" in volume
            for item in volume["secret"]["items"]
        }
        assert read_files(recording) == items
        # Its own certificate is for Loki, which asks for one.
        signed = {"ca.crt", *(("tls.crt", "tls.key") if recording is whole else ())}
        assert set(plain_secrets(recording)) | signed == {path.rpartition("/")[2] for path in items}


def test_nothing_is_named_by_a_dollar_sign_but_by_its_own_words(whole: Recording) -> None:
    for path, text in files(whole).items():
        # Its own variables in links, such as ${__value.raw}, have the dollar sign doubled.
        said = re.sub(r"^\s*#.*$|\$\$\{__[\w.]+\}", "", text, flags=re.MULTILINE)
        assert re.findall(r"\$(?!__(?:env|file)\{)", said) == [], path


def test_no_secret_is_anywhere_but_in_its_secret(whole: Recording) -> None:
    values = plain_secrets(whole)
    assert values["prometheus-password"] == PASSWORDS["prometheus"]
    assert values["alertmanager-password"] == PASSWORDS["alertmanager"]
    assert values["sso-client-secret"] == PASSWORDS["sso"]
    assert values["admin-password"] == values["secret-key"] == "r" * 40
    marked = secrets(whole)
    assert is_pulumi_secret(marked) or all(is_pulumi_secret(value) for value in marked.values())
    for resource in whole.all.values():
        if resource.type.startswith("kubernetes:") and resource.name != "grafana-secrets":
            assert not [value for value in values.values() if value in str(resource.inputs)], resource.urn


def test_passwords_are_made_of_letters_and_digits_and_long(plain: Recording) -> None:
    made = plain.of_type("random:index/randomPassword:RandomPassword")
    assert [each.name for each in made] == ["grafana-admin-password", "grafana-secret-key"]
    for each in made:
        # A dollar sign would begin a reference, where Grafana reads it.
        assert (each.inputs["length"], each.inputs["special"]) == (40, False)


def test_only_who_is_known_gets_in_and_nobody_makes_accounts(plain: Recording) -> None:
    told = settings(plain)
    assert told.get("auth.anonymous", "enabled") == "false"
    assert told.get("users", "allow_sign_up") == "false"
    assert told.get("users", "allow_org_create") == "false"
    assert told.get("users", "auto_assign_org_role") == "Viewer"
    assert told.get("security", "admin_password").startswith("$__file{")
    assert told.get("security", "secret_key").startswith("$__file{")
    assert told.get("snapshots", "external_enabled") == "false"
    assert told.get("public_dashboards", "enabled") == "false"
    assert not told.has_section("auth.generic_oauth")


def test_it_calls_nobody_but_its_datasources(plain: Recording) -> None:
    told = settings(plain)
    for section, key, value in (
        ("analytics", "reporting_enabled", "false"),
        ("analytics", "check_for_updates", "false"),
        ("analytics", "check_for_plugin_updates", "false"),
        ("news", "news_feed_enabled", "false"),
        ("plugins", "preinstall_disabled", "true"),
        ("plugins", "plugin_admin_enabled", "false"),
        ("plugins", "public_key_retrieval_disabled", "true"),
        ("security", "disable_gravatar", "true"),
        ("unified_alerting", "enabled", "false"),
    ):
        assert told.get(section, key) == value, key


def test_only_plugins_that_ask_something_run(plain: Recording, whole: Recording) -> None:
    assert settings(plain).get("plugins", "disable_plugins") == "$__env{GRAFANA_PLUGINS_OFF}"

    def running(recording: Recording) -> set[str]:
        off = environment(recording)["GRAFANA_PLUGINS_OFF"].split(",")
        assert set(off) < set(grafana_config.BUNDLED)
        return set(grafana_config.BUNDLED) - set(off)

    assert running(plain) == {"prometheus"}
    assert running(whole) == {"prometheus", "loki", "jaeger"}
    for recording in (plain, whole):
        asked = {source["type"] for source in sources(recording).values()}
        assert running(recording) == asked & set(grafana_config.BUNDLED)


def test_single_sign_on_is_told_with_its_secret_in_a_file(whole: Recording) -> None:
    told = settings(whole)["auth.generic_oauth"]
    assert told["enabled"] == "true"
    assert told["client_secret"] == "$__file{/run/secrets/grafana/sso-client-secret}"
    assert told["use_pkce"] == "true"
    # What is surrounded by quotes would lose them; without a word on roles everybody is a viewer.
    assert not [key for key in told if "role" in key]
    said = environment(whole)
    assert said["SSO_CLIENT_ID"] == "grafana"
    assert said["SSO_DOMAINS"] == "fixia.app,fixia.email"
    assert [said[f"SSO_{each}"] for each in ("AUTHORIZE", "TOKEN", "USERINFO")] == [
        SIGN_ON.authorize,
        SIGN_ON.token,
        SIGN_ON.userinfo,
    ]


def test_it_knows_by_which_name_it_is_reached(plain: Recording, whole: Recording) -> None:
    assert environment(whole)["GRAFANA_ROOT_URL"] == "https://grafana.fixia.app/"
    assert environment(whole)["GRAFANA_COOKIE_SECURE"] == "true"
    # By port-forward, which has no encryption of its own.
    assert environment(plain)["GRAFANA_ROOT_URL"] == "http://localhost:3000/"
    assert environment(plain)["GRAFANA_COOKIE_SECURE"] == "false"


def test_servers_are_asked_over_tls_and_by_password(whole: Recording) -> None:
    said = environment(whole)
    assert said["PROMETHEUS_URL"] == f"https://prometheus.{NAMESPACE}.svc:9090"
    assert said["ALERTMANAGER_URL"] == f"https://alertmanager.{NAMESPACE}.svc:9093"
    assert said["LOGS_URL"] == f"http://loki.{NAMESPACE}.svc:3100"
    assert said["TRACES_URL"] == f"https://traces.{NAMESPACE}.svc:16686"
    assert said["SERVER_USER"] == access.USER
    found = sources(whole)
    assert set(found) == {"prometheus", "alertmanager", "loki", "jaeger"}
    for source in found.values():
        assert source["jsonData"]["tlsAuthWithCACert"] is True
        assert "tlsSkipVerify" not in source["jsonData"]
        assert source["secureJsonData"]["tlsCACert"] == "$__file{/run/secrets/grafana-tls/ca.crt}"
        assert (source["editable"], source["access"]) == (False, "proxy")
    for uid in ("prometheus", "alertmanager"):
        assert found[uid]["basicAuth"] is True
        assert (
            found[uid]["secureJsonData"]["basicAuthPassword"]
            == f"$__file{{/run/secrets/grafana/{uid}-password}}"
        )
    assert [uid for uid, source in found.items() if source.get("isDefault")] == ["prometheus"]
    assert found["prometheus"]["jsonData"]["timeInterval"] == "30s"


def test_what_is_not_there_is_not_asked(plain: Recording) -> None:
    assert set(sources(plain)) == {"prometheus"}
    assert set(plain_secrets(plain)) == {"admin-password", "secret-key", "prometheus-password"}


def test_the_ways_to_a_trace_lead_to_sources_that_are_there(plain: Recording, whole: Recording) -> None:
    found = sources(whole)
    (field,) = found["loki"]["jsonData"]["derivedFields"]
    (exemplar,) = found["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    back = found["jaeger"]["jsonData"]["tracesToLogsV2"]
    assert {field["datasourceUid"], exemplar["datasourceUid"], back["datasourceUid"]} == {"jaeger", "loki"}
    # What the collector calls it in Loki, the application in an exemplar, and Grafana's own variables.
    assert (field["matcherType"], field["matcherRegex"], exemplar["name"]) == (
        "label",
        "trace_id",
        "trace_id",
    )
    assert field["url"] == "$${__value.raw}"
    assert 'trace_id="$${__trace.traceId}"' in back["query"]
    assert "exemplarTraceIdDestinations" not in sources(plain)["prometheus"]["jsonData"]


def test_datasources_have_the_fields_that_grafana_documents(whole: Recording) -> None:
    # Source: https://grafana.com/docs/grafana/latest/administration/provisioning/#example-data-source-configuration-file
    known = {
        "name",
        "uid",
        "type",
        "access",
        "orgId",
        "url",
        "isDefault",
        "editable",
        "basicAuth",
        "basicAuthUser",
        "jsonData",
        "secureJsonData",
    }
    for uid, source in sources(whole).items():
        assert set(source) <= known, uid
    boards = yaml.safe_load(files(whole)["provisioning/dashboards/boards.yaml"])
    assert boards["apiVersion"] == 1
    (provider,) = boards["providers"]
    assert set(provider) == {
        "name",
        "orgId",
        "folder",
        "folderUid",
        "type",
        "disableDeletion",
        "allowUiUpdates",
        "updateIntervalSeconds",
        "options",
    }
    assert (provider["allowUiUpdates"], provider["disableDeletion"]) == (False, True)


def test_each_board_is_a_file_where_grafana_looks(plain: Recording) -> None:
    boards = yaml.safe_load(files(plain)["provisioning/dashboards/boards.yaml"])
    (container,) = pod(plain)["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert boards["providers"][0]["options"]["path"] == mounted["boards"]
    assert environment(plain)["GF_PATHS_PROVISIONING"] == f"{mounted['config']}/provisioning"
    (volume,) = [each for each in pod(plain)["volumes"] if each["name"] == "boards"]
    made = {
        each.inputs["metadata"].get("name", f"{each.name}-made-up"): each.inputs
        for each in plain.of_type("kubernetes:core/v1:ConfigMap")
    }
    found: dict[str, str] = {}
    for projected in volume["projected"]["sources"]:
        config_map = made[projected["configMap"]["name"]]
        assert config_map["immutable"] is True
        assert len(config_map["data"]) == 1
        found |= config_map["data"]
    assert found == BOARDS


def test_everybody_sees_the_operations_first_if_they_are_there(plain: Recording) -> None:
    assert settings(plain).get("dashboards", "default_home_dashboard_path") == "$__env{GRAFANA_HOME}"
    assert environment(plain)["GRAFANA_HOME"] == "/etc/grafana-boards/fixia-operations.json"
    without = record(lambda: Grafana("grafana", args(boards={"fixia-cache.json": "{}"})) and None)
    assert environment(without)["GRAFANA_HOME"] == ""


def test_it_runs_without_the_images_script_and_is_asked_how_it_is(plain: Recording) -> None:
    (container,) = pod(plain)["containers"]
    assert container["command"] == ["grafana", "server"]
    assert "--config=/etc/grafana/grafana.ini" in container["args"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/api/health"
    # A broken database is no reason for a restart that would not mend it.
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    told = environment(plain)
    assert {told[f"GF_PATHS_{each}"].partition("/log")[0] for each in ("DATA", "LOGS")} == {
        "/var/lib/grafana"
    }


def test_it_may_call_what_it_asks_and_the_world_only_to_sign_in(plain: Recording, whole: Recording) -> None:
    def called(recording: Recording) -> list[list[int]]:
        policy = recording.one("kubernetes:networking.k8s.io/v1:NetworkPolicy", "grafana-egress").inputs
        return [[port["port"] for port in rule["ports"]] for rule in policy["spec"]["egress"]]

    assert called(plain) == [[9090]]
    assert called(whole) == [[9090], [9093], [3100], [16686], [443]]
    # Who calls it says so itself: the entrance, and Prometheus.
    incoming = [
        policy.name
        for policy in whole.of_type("kubernetes:networking.k8s.io/v1:NetworkPolicy")
        if policy.inputs["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == "grafana"
    ]
    assert incoming == ["grafana-egress"]


def test_it_is_watched() -> None:
    (alert,) = alerts("grafana")
    assert alert.name == "GrafanaDown"
    assert alert.severity == "P3"
    page = (ROOT / alert.runbook).read_text(encoding="utf-8")
    assert "`GrafanaDown`" in page
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["Symptom", "Check", "Act", "Verify"]


def test_its_own_metrics_are_a_target() -> None:
    kept: list[Grafana] = []
    record(lambda: kept.append(Grafana("grafana", args())))
    (made,) = kept
    (target,) = made.watch.targets
    assert (target.job, target.path, target.tls) == ("grafana", "/metrics", False)
    assert (target.endpoint.port, target.endpoint.pods) == (3000, made.endpoint.pods)
    assert made.watch.boards == {}
    # Prometheus is made first, and must know already whom to ask.
    assert watched("grafana", IDENTITY, NAMESPACE) == made.watch


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"alertmanager_password": "x"}, "Alertmanager and its password"),
        ({"boards": {"folder/x.json": "{}"}}, "folder/x.json"),
        ({"boards": {"x.yaml": "{}"}}, "x.yaml"),
        ({"boards": {"x.json": " " * (2**20 + 1)}}, "make two boards"),
    ],
)
def test_what_would_not_do_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        record(lambda: Grafana("grafana", args(**changes)) and None)


def test_its_pages_may_load_what_is_its_own() -> None:
    policy = dict(part.split(" ", 1) for part in grafana_config.CONTENT_SECURITY_POLICY.split("; "))
    assert policy["default-src"] == policy["connect-src"] == policy["base-uri"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
    assert not [value for value in policy.values() if "*" in value or "http" in value]
