"""The stack's credentials: made here, or given by somebody else; secret from here inwards.

A generated credential is rotated by raising its epoch. At each epoch three values are known: the current one,
which is used, and the previous and the next, which are accepted too. So the order in which pods learn of a
rotation does not matter: who already uses the new value meets only those who accept it, and the other way
round.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
from pulumi_random import RandomPassword

from components.base import Component, Identity


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A credential that the stack makes.

    Attributes:
        length: in letters and digits.
        epoch: raised by one to rotate it; by three after a leak, so that nothing known is accepted any more.
    """

    length: int
    epoch: int = 1


@dataclass(frozen=True, kw_only=True)
class Credential:
    """One credential's value, and others that are valid at the same time.

    Attributes:
        current: what is used.
        accepted: what else is accepted, by role: `previous` and `next` for a generated one.
        epoch: which one the current value is; 0 for one that somebody gave.
    """

    current: pulumi.Output[str]
    accepted: Mapping[str, pulumi.Output[str]] = field(default_factory=dict)
    epoch: int = 0

    def values(self, name: str) -> dict[str, pulumi.Output[str]]:
        """Every value by name: `<name>`, and `<name>-previous` and so on for those accepted."""
        return {name: self.current, **{f"{name}-{role}": value for role, value in self.accepted.items()}}


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """What the stack needs to know and must not tell.

    Attributes:
        identity: whose they are.
        generated: those that are made here, by name.
        given: name -> value.
    """

    identity: Identity
    generated: Mapping[str, Generated]
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
        self._credentials = {
            **{
                credential: self._made(f"{name}-{credential}", of)
                for credential, of in args.generated.items()
            },
            **{
                credential: Credential(current=pulumi.Output.secret(value))
                for credential, value in args.given.items()
            },
        }
        self.names = sorted(self._credentials)
        self.finish()

    def __getitem__(self, credential: str) -> Credential:
        """One credential.

        Raises:
            KeyError: there is none of that name.
        """
        return self._credentials[credential]

    def _made(self, name: str, of: Generated) -> Credential:
        previous, current, following = (
            # Named by epoch: the next rotation keeps these as they are and makes one more.
            # Letters and digits alone survive URLs, shells and INI files without quoting.
            RandomPassword(f"{name}-{epoch}", length=of.length, special=False, opts=self.child()).result
            for epoch in (of.epoch - 1, of.epoch, of.epoch + 1)
        )
        return Credential(current=current, accepted={"previous": previous, "next": following}, epoch=of.epoch)
