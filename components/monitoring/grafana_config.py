"""What Grafana is told, as files of the tree and an environment: pure functions.

Grafana's server can't be had where the tests run, so none of this was read by it there: the files are parsed,
and held against the fields that its documentation names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pulumi
import yaml

from components.monitoring.access import USER

PORT: Final = 3000

CONFIG_FOLDER: Final = "/etc/grafana"
BOARDS_FOLDER: Final = "/etc/grafana-boards"
DATA_FOLDER: Final = "/var/lib/grafana"
SECRETS_FOLDER: Final = "/run/secrets/grafana"
TLS_FOLDER: Final = "/run/secrets/grafana-tls"

HOME: Final = "fixia-operations.json"
"""What everybody sees first."""

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        # Its pages begin with a script of their own, and its panels make theirs at run time. A nonce would be
        # of its own header, which the entrance replaces.
        "script-src 'self' 'unsafe-eval' 'unsafe-inline'",
        "style-src 'self' 'unsafe-inline' blob:",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "media-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""What its pages may load, for the entrance.

Source: https://grafana.com/docs/grafana/latest/setup-grafana/configure-grafana/#content_security_policy_template
"""

BUNDLED: Final = (
    *("cloudwatch", "elasticsearch", "grafana-postgresql-datasource", "grafana-pyroscope-datasource"),
    *("influxdb", "jaeger", "loki", "mssql", "mysql", "opentsdb", "prometheus", "stackdriver", "tempo"),
    "zipkin",
)
"""What the image brings as plugins, each with a process of its own.

Source: pkg/setting/setting_plugins.go of Grafana, `defaultPreinstallPlugins`, without the apps.
"""

_PLUGINS: Final = {"prometheus": "prometheus", "logs": "loki", "traces": "jaeger"}
"""A source -> the plugin that asks it; Alertmanager's is in Grafana itself."""

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Told:
    """All that it is told but for the secrets.

    Attributes:
        files: the file in the configuration's folder -> its content.
        secrets: the files that `files` read from the Secret.
        environment: what `files` name by `$__env{}`, and the paths.
    """

    files: Mapping[str, str]
    secrets: Sequence[str]
    environment: Mapping[str, pulumi.Input[str]]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What it asks, as `https://host:port`.

    Attributes:
        prometheus: for the boards.
        alertmanager: for silences and what is being told.
        logs: Loki.
        traces: Jaeger.
    """

    prometheus: pulumi.Input[str]
    alertmanager: pulumi.Input[str] | None = None
    logs: pulumi.Input[str] | None = None
    traces: pulumi.Input[str] | None = None

    def addresses(self) -> dict[str, pulumi.Input[str]]:
        """Those that are there, by name."""
        named = {
            "prometheus": self.prometheus,
            "alertmanager": self.alertmanager,
            "logs": self.logs,
            "traces": self.traces,
        }
        return {name: address for name, address in named.items() if address is not None}


@dataclass(frozen=True, kw_only=True)
class SignOn:
    """The other side of the single sign-on, but for the client's secret.

    Attributes:
        client_id: as what Grafana is registered there.
        authorize: the URL where one signs in.
        token: the URL where Grafana gets its token.
        userinfo: the URL that says who it is.
        domains: of the e-mail addresses that may sign in; any that the other side lets in unless told.
    """

    client_id: str
    authorize: str
    token: str
    userinfo: str
    domains: Sequence[str] = field(default=())


def told(
    sources: Sources, *, root_url: str | None, has_home: bool, sign_on: SignOn | None = None, port: int = PORT
) -> Told:
    """The files, and the environment that fills them in.

    Args:
        sources: what it asks.
        root_url: how a browser reaches it, with a slash at the end; by port-forward alone if None.
        has_home: whether the board `HOME` is there.
        sign_on: who else says who somebody is.
        port: where it listens for HTTP.
    """
    ini = _text("grafana.ini") + (_text("grafana_sso.ini") if sign_on else "")
    files = {"grafana.ini": ini, "provisioning/dashboards/boards.yaml": _text("grafana_dashboards.yaml")}
    environment: dict[str, pulumi.Input[str]] = {
        "GF_PATHS_DATA": DATA_FOLDER,
        "GF_PATHS_LOGS": f"{DATA_FOLDER}/log",
        "GF_PATHS_PLUGINS": f"{DATA_FOLDER}/plugins",
        "GF_PATHS_PROVISIONING": f"{CONFIG_FOLDER}/provisioning",
        "GRAFANA_PORT": str(port),
        "GRAFANA_ROOT_URL": root_url or f"http://localhost:{port}/",
        "GRAFANA_COOKIE_SECURE": "true" if root_url else "false",
        "GRAFANA_HOME": f"{BOARDS_FOLDER}/{HOME}" if has_home else "",
        "SERVER_USER": USER,
    }
    used = {_PLUGINS[name] for name in sources.addresses() if name in _PLUGINS}
    environment["GRAFANA_PLUGINS_OFF"] = ",".join(plugin for plugin in BUNDLED if plugin not in used)
    for name, address in sources.addresses().items():
        source = _text(f"grafana_{name}.yaml")
        files[f"provisioning/datasources/{name}.yaml"] = _linked(source) if sources.traces else source
        environment[f"{name.upper()}_URL"] = address
    if sign_on:
        environment |= {
            "SSO_CLIENT_ID": sign_on.client_id,
            "SSO_AUTHORIZE": sign_on.authorize,
            "SSO_TOKEN": sign_on.token,
            "SSO_USERINFO": sign_on.userinfo,
            "SSO_DOMAINS": ",".join(sign_on.domains),
        }
    secrets = ["admin-password", "secret-key", "prometheus-password"]
    secrets += [] if sources.alertmanager is None else ["alertmanager-password"]
    secrets += ["sso-client-secret"] if sign_on else []
    return Told(files=files, secrets=secrets, environment=environment)


def key(file: str) -> str:
    """A file's name in its ConfigMap, where none has a folder."""
    return file.replace("/", "--")


def _linked(source: str) -> str:
    """A file of sources, with the ways to traces of those that have one."""
    told = yaml.safe_load(source)
    links = yaml.safe_load(_text("grafana_links.yaml"))
    if not [each for each in told["datasources"] if each["uid"] in links]:
        return source
    for each in told["datasources"]:
        each["jsonData"] |= links.get(each["uid"], {})
    return str(yaml.safe_dump(told, sort_keys=False))


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
