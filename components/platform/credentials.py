"""The stack's credentials: made here, or given by somebody else; secret from here inwards."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_random import RandomPassword

from components.base import Component, Identity


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """What the stack needs to know and must not tell.

    Attributes:
        identity: whose they are.
        generated: name -> length, in letters and digits.
        given: name -> value.
    """

    identity: Identity
    generated: Mapping[str, int]
    given: Mapping[str, pulumi.Input[str]]


class Credentials(Component):
    """Every credential by name, each an `Output` that the engine keeps encrypted.

    A generated one is made once and kept in the stack's state: losing the state loses it.
    """

    TYPE = "fixia:platform:Credentials"

    names: list[str]
    """The credentials' names."""

    def __init__(self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        # Letters and digits alone: they survive URLs, shells and INI files without quoting.
        self._values: dict[str, pulumi.Output[str]] = {
            credential: RandomPassword(
                f"{name}-{credential}", length=length, special=False, opts=self.child()
            ).result
            for credential, length in args.generated.items()
        }
        self._values |= {credential: pulumi.Output.secret(value) for credential, value in args.given.items()}
        self.names = sorted(self._values)
        self.finish()

    def __getitem__(self, credential: str) -> pulumi.Output[str]:
        """The value of one credential.

        Raises:
            KeyError: there is none of that name.
        """
        return self._values[credential]
