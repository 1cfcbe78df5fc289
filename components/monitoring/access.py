"""Who may ask a server of the monitoring: those who know its password, over a connection of TLS.

Prometheus and Alertmanager know no users of their own; a file beside them does it for both.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

import pulumi
from pulumi_random import RandomPassword

from components.base import Component

USER: Final = "platform"
"""Whom the clients say they are."""

PASSWORD_LENGTH: Final = 40
"""In letters and digits. Of more than 72 bytes bcrypt would not read the rest."""

TLS_FOLDER: Final = "/run/secrets/tls"
"""Where such a server's certificate is mounted, and the authority's own (`ca.crt`)."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How one server is asked.

    Attributes:
        password: what clients show as `USER`; secret.
        web_config: the file by which the server knows them, with the password's hash alone; secret.
    """

    password: pulumi.Output[str]
    web_config: pulumi.Output[str]


def access(owner: Component, name: str) -> Access:
    """A password of one server's own, kept in the stack's encrypted state.

    To change it, replace `<name>-password` (`pulumi up --replace <its URN>`): the server and its clients are
    restarted by the same update, and until both are, they do not understand each other.

    Args:
        owner: the server's component.
        name: its name.
    """
    made = RandomPassword(f"{name}-password", length=PASSWORD_LENGTH, special=False, opts=owner.child())
    return Access(
        password=pulumi.Output.secret(made.result),
        web_config=pulumi.Output.secret(made.bcrypt_hash.apply(web_config)),
    )


def web_config(bcrypt_hash: str) -> str:
    """The content of the server's web configuration, a YAML file.

    Args:
        bcrypt_hash: of the password.
    """
    template = Template((Path(__file__).parent / "web.yml").read_text(encoding="utf-8"))
    # JSON is YAML too, and quotes whatever needs it.
    return template.substitute(user=USER, hash=json.dumps(bcrypt_hash), tls_folder=TLS_FOLDER)
