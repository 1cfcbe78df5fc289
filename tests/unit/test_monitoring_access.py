"""A server of the monitoring is asked by who knows its password, of which it has the hash alone."""

from typing import Any

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks

from components.base import Component, Identity
from components.monitoring.access import Access, access, web_config
from tests import recorder
from tests.recorder import Recording, record

HASH = "$2a$10$WvvTPHKwdBJ3uk0Z37EMR.hLA2W6N9AEBhEgrAOljy2Ae5MtaSIUi"


class Server(Component):
    TYPE = "fixia:monitoring:Server"

    web: pulumi.Output[str]
    password: pulumi.Output[str]

    def __init__(self, name: str) -> None:
        super().__init__(name, Identity(product="p", environment="e", owner="o", cost_centre="c"), None)
        made: Access = access(self, name)
        self.web, self.password = made.web_config, made.password
        self.finish()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Recording:
    echo = recorder._Echo.new_resource

    def hashed(self: recorder._Echo, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        name, outputs = echo(self, args)
        return name, {**outputs, "bcryptHash": HASH}

    monkeypatch.setattr(recorder._Echo, "new_resource", hashed)
    return record(lambda: Server("server") and None)


def test_the_password_is_long_and_survives_every_quoting(server: Recording) -> None:
    made = server.one("random:index/randomPassword:RandomPassword", "server-password")
    assert made.inputs["length"] == 40
    assert made.inputs["special"] is False
    assert made.parent.endswith("Server::server")


def test_what_is_handed_on_is_secret_and_the_file_has_the_hash_alone(server: Recording) -> None:
    (component,) = server.of_type(Server.TYPE)
    assert component.outputs is not None
    for value in component.outputs.values():
        assert recorder.is_pulumi_secret(value)
    web, password = (component.outputs[name]["value"] for name in ("web", "password"))
    assert password == "r" * 40
    assert password not in web
    assert yaml.safe_load(web)["basic_auth_users"] == {"platform": HASH}


def test_a_server_speaks_tls_alone() -> None:
    told = yaml.safe_load(web_config(HASH))
    assert set(told) == {"tls_server_config", "basic_auth_users"}
    assert told["tls_server_config"] == {
        "cert_file": "/run/secrets/tls/tls.crt",
        "key_file": "/run/secrets/tls/tls.key",
        "min_version": "TLS12",
    }
