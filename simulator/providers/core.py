"""What every simulated provider does: check, diff, create, read, update and delete on plain values.

A provider of its own (kubernetes, aws, cloudflare) only says what is particular to it, by overriding the
hooks at the end of `Provider`: names, refusals, what forces a replacement, and what the cloud adds.
"""
# ruff: noqa: ARG002 - a hook's signature is for those who override it

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

from simulator.providers import differ
from simulator.providers.differ import Change
from simulator.providers.naming import DEFAULTS, Naming
from simulator.providers.sdk import Primitive, ResourceClass, Sdk
from simulator.providers.store import AlreadyExistsError, Record, Store, seal, unseal
from simulator.providers.typecheck import Failure, check_fields
from simulator.providers.values import (
    UNKNOWN,
    Properties,
    Value,
    conceal,
    digest,
    merge,
    secret,
    secret_texts,
    subtract,
)

TRIES: Final = 1000
"""How many ids are tried for a resource whose name does not make its id."""


class ProviderError(Exception):
    """What a real provider would answer with: one line for the user."""


class NotReadyError(ProviderError):
    """A resource exists and does not work, or not as it was asked for: the engine keeps it, with the reasons.

    Args:
        resource_id: its id.
        outputs: what it is now.
        reasons: why, the most general first.
        inputs: what was asked for, if a read found that out.
    """

    def __init__(
        self, resource_id: str, outputs: Properties, reasons: list[str], inputs: Properties | None = None
    ) -> None:
        super().__init__(reasons[0])
        self.resource_id = resource_id
        self.outputs = outputs
        self.reasons = reasons
        self.inputs = inputs


@dataclass(frozen=True)
class Resource:
    """The resource that the engine is asking about.

    Attributes:
        urn: its URN.
        type: its type token.
        name: its name in the program.
        timeout: the seconds that the program gives what is asked for; 0 where it does not say.
    """

    urn: str
    type: str
    name: str
    timeout: float = 0.0


@dataclass(frozen=True)
class Checked:
    """The answer to a check: the inputs with defaults, or why they are refused."""

    inputs: Properties
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True)
class Difference:
    """The answer to a diff.

    Attributes:
        changes: what differs.
        replaces: the changes that cannot be made in place.
        delete_first: whether the old resource must go before the new one can come.
        because: what else asks for a replacement, without any difference.
    """

    changes: list[Change]
    replaces: list[Change]
    delete_first: bool = False
    because: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How something that the cloud accepted went on.

    Attributes:
        unready: why it does not work; empty if it does.
        serving: see `Record`.
    """

    unready: str = ""
    serving: Properties = field(default_factory=dict)


class Provider:
    """A simulated provider over a store.

    Args:
        store: the cloud's memory.
        failing: the names of resources that the cloud fails to create, change or make ready, for a test.
    """

    package: ClassVar[str]
    replacing_config: ClassVar[frozenset[str]] = frozenset()
    """The provider's own settings whose change means another cloud, so replaces every resource."""

    def __init__(self, store: Store, failing: frozenset[str] = frozenset()) -> None:
        self.sdk = Sdk(self.package)
        self._failing = failing
        self.config: Properties = {}
        self.base_store = store
        self.store = store

    # --- the provider's own configuration ---

    def check_config(self, news: Properties) -> Checked:
        """Check the provider's settings; nested ones arrive as JSON text."""
        fields = self.sdk.provider.inputs
        decoded = {name: self._decode(name, value) for name, value in news.items() if name != "version"}
        return Checked(news, list(check_fields(decoded, fields)))

    def diff_config(self, olds: Properties, news: Properties) -> Difference:
        """Which settings differ, and which of them lead to another cloud."""
        changed = list(differ.changes(olds, news))
        return Difference(changed, [change for change in changed if change.keys[0] in self.replacing_config])

    def configure(self, config: Properties) -> None:
        """Take the settings over."""
        self.config = {name: self._decode(name, value) for name, value in config.items()}
        self.store = self.base_store.within(self.package, self.account())

    def _decode(self, name: str, value: Value) -> Value:
        declared = self.sdk.provider.inputs.get(name)
        if isinstance(value, str) and declared is not None and declared.type != Primitive("str"):
            try:
                return json.loads(value)
            except ValueError:
                return value
        return value

    # --- a resource's life ---

    def check(self, resource: Resource, olds: Properties, news: Properties, naming: Naming) -> Checked:
        """Complete the inputs with names and defaults, and refuse what the real provider would refuse.

        Args:
            resource: who is asked about.
            olds: the last accepted inputs; empty for a new or a replaced resource.
            news: the program's inputs.
            naming: how to make an automatic name.
        """
        inputs = self.complete(resource, olds, news, naming)
        failures: list[Failure] = []
        known = self.resource_class(resource)
        if known is not None:
            failures += check_fields(inputs, known.inputs)
        elif self.refuses_unknown_types:
            failures.append(Failure("", f"pulumi-{self.package} {self.sdk.version} has no {resource.type}"))
        typed = {failure.path for failure in failures}
        failures += (one for one in self.refuse(resource, olds, inputs, failures) if one.path not in typed)
        hidden = list(secret_texts(inputs))
        said = (Failure(one.path, conceal(one.reason, hidden)) for one in failures)
        return Checked(inputs, list(dict.fromkeys(said)))

    def diff(self, resource: Resource, old_inputs: Properties, news: Properties) -> Difference:
        """What differs between two sets of checked inputs."""
        changed = list(differ.changes(old_inputs, news))
        replaces = [one for one in changed if self.forces_replacement(resource, one, old_inputs, news)]
        return Difference(
            changed, replaces, bool(replaces) and self.deletes_before_replace(resource, old_inputs, news)
        )

    def preview_create(self, resource: Resource, inputs: Properties) -> Properties:
        """The outputs of something that will exist: what is computed is not known yet."""
        return self._outputs(resource, inputs, self.pending(resource, inputs))

    def create(self, resource: Resource, inputs: Properties) -> tuple[str, Properties]:
        """Bring a resource into being.

        Returns:
            Its id and its outputs.

        Raises:
            ProviderError: something of that kind and name already exists, or it was told to fail.
            NotReadyError: it came into being and does not work.
        """
        self._fail_if_told(resource)
        self.admit(resource, inputs)
        fixed = self.identity(resource, inputs)
        for attempt in range(1 if fixed else TRIES):
            resource_id = fixed or self.new_id(resource, attempt)
            computed = self.computed(resource, resource_id, inputs, {})
            record = self._record(resource, inputs, computed)
            try:
                place = self.slot(resource, resource_id, inputs)
                self.store.create(self.collection(resource.type), place, record)
            except AlreadyExistsError:
                continue
            outputs = self._outputs(resource, inputs, computed)
            self._expect("create", resource, record, (resource_id, inputs, outputs))
            return resource_id, outputs
        raise ProviderError(self.already_exists(resource, resource_id))

    def read(
        self, resource: Resource, resource_id: str, old_inputs: Properties, old_state: Properties
    ) -> tuple[str, Properties, Properties]:
        """What the cloud holds now, for a refresh or an import.

        Returns:
            The id (empty if the resource is gone), its inputs and its outputs.

        Raises:
            NotReadyError: it is there and does not work.
        """
        place = self.slot(resource, resource_id, old_state)
        record = self.store.read(self.collection(resource.type), place)
        if record is None:
            return "", {}, {}
        inputs = unseal(record.inputs, old_inputs or old_state)
        outputs = self._outputs(resource, inputs, unseal(record.computed, old_state))
        if old_inputs:  # An import takes what is there as it is.
            self._expect("read", resource, record, (resource_id, inputs, outputs))
        return resource_id, inputs, outputs

    def preview_update(
        self, resource: Resource, old: tuple[Properties, Properties], news: Properties
    ) -> Properties:
        """The outputs after an update that has not happened: what was computed stays.

        Args:
            resource: who is asked about.
            old: its last inputs and outputs.
            news: its new inputs.
        """
        return self._outputs(resource, news, subtract(old[1], old[0]))

    def update(
        self, resource: Resource, resource_id: str, old_state: Properties, news: Properties
    ) -> Properties:
        """Change a resource in place.

        Raises:
            ProviderError: it is no longer there, or it was told to fail.
            NotReadyError: it was changed and does not work.
        """
        self._fail_if_told(resource)
        place = self.slot(resource, resource_id, old_state)
        record = self.store.read(self.collection(resource.type), place)
        if record is None:
            raise ProviderError(f"{resource.type} {resource_id!r} not found: it was deleted outside; refresh")
        computed = self.computed(resource, resource_id, news, unseal(record.computed, old_state))
        changed = self._record(resource, news, computed, record)
        self.store.update(self.collection(resource.type), place, changed)
        outputs = self._outputs(resource, news, computed)
        self._expect("update", resource, changed, (resource_id, news, outputs))
        return outputs

    def delete(self, resource: Resource, resource_id: str, old_state: Properties) -> None:
        """End a resource; one that is already gone is no error."""
        self.store.delete(self.collection(resource.type), self.slot(resource, resource_id, old_state))

    def invoke(self, token: str, args: Properties) -> Properties:
        """Answer a function.

        Raises:
            ProviderError: the simulation has no such function, or refuses its arguments.
        """
        raise ProviderError(f"the simulated {self.package} provider does not answer {token}")

    def _record(
        self, resource: Resource, inputs: Properties, computed: Properties, before: Record | None = None
    ) -> Record:
        outcome = self.outcome(resource, inputs, computed, before)
        serving = seal(outcome.serving)
        return Record(resource.type, resource.urn, seal(inputs), seal(computed), outcome.unready, serving)

    def _expect(
        self, verb: str, resource: Resource, record: Record, now: tuple[str, Properties, Properties]
    ) -> None:
        resource_id, inputs, outputs = now
        if record.unready and self.waits(resource, inputs, verb):
            reasons = [*self.explain(resource_id, verb), record.unready]
            raise NotReadyError(resource_id, outputs, reasons, inputs if verb == "read" else None)

    def _outputs(self, resource: Resource, inputs: Properties, computed: Properties) -> Properties:
        shown = {name: value for name, value in inputs.items() if name != DEFAULTS}
        outputs: Properties = merge(computed, shown)
        known = self.resource_class(resource)
        for name in known.secret_outputs if known else ():
            if outputs.get(name) is not None and outputs[name] is not UNKNOWN:
                outputs[name] = secret(outputs[name])
        return outputs

    # --- what is particular to a provider ---

    refuses_unknown_types: ClassVar[bool] = True
    """Whether a type that the SDK does not have is refused."""

    def account(self) -> str:
        """The part of the cloud that the configuration points at; names collide only inside it."""
        return "default"

    def resource_class(self, resource: Resource) -> ResourceClass | None:
        """The SDK's class of a resource."""
        return self.sdk.resource(resource.type)

    def complete(self, resource: Resource, olds: Properties, news: Properties, naming: Naming) -> Properties:
        """The inputs with automatic names and defaults."""
        return news

    def refuse(
        self, resource: Resource, olds: Properties, inputs: Properties, found: Iterable[Failure]
    ) -> Iterator[Failure]:
        """What the real provider refuses beyond the SDK's types; `found` is what these refused."""
        return iter(())

    def forces_replacement(
        self, resource: Resource, change: Change, olds: Properties, news: Properties
    ) -> bool:
        """Whether one change cannot be made in place."""
        return False

    def deletes_before_replace(self, resource: Resource, olds: Properties, news: Properties) -> bool:
        """Whether the old resource stands in the new one's way: the program gave both the same name."""
        old = self.identity(resource, olds)
        return old is not None and old == self.identity(resource, news) and not news.get(DEFAULTS)

    def told_to_fail(self, resource: Resource) -> str:
        """Why a resource fails, if a test asked for that; empty if none did."""
        if resource.name not in self._failing:
            return ""
        return f"simulated failure of {resource.type} {resource.name!r}, as was asked for"

    def _fail_if_told(self, resource: Resource) -> None:
        if failure := self.told_to_fail(resource):
            raise ProviderError(failure)

    def outcome(
        self, resource: Resource, inputs: Properties, computed: Properties, before: Record | None
    ) -> Outcome:
        """How something that was accepted goes on; `before` is what it was before a change."""
        return Outcome()

    def waits(self, resource: Resource, inputs: Properties, verb: str) -> bool:
        """Whether the provider waits for a resource to work after a `create`, an `update` or a `read`."""
        return True

    def explain(self, resource_id: str, verb: str) -> list[str]:
        """What the provider says of a resource that does not work, before it says why."""
        return []

    def admit(self, resource: Resource, inputs: Properties) -> None:
        """Refuse at creation what only the cloud itself can know, by a `ProviderError`."""

    def collection(self, type_token: str) -> str:
        """Where records of a type are kept; names are unique inside it."""
        _, module, kind = type_token.split(":", 2)
        return f"{module.partition('/')[0]}.{kind}".removeprefix("index.")

    def identity(self, resource: Resource, inputs: Properties) -> str | None:
        """The id that the physical name makes, or None if the cloud invents ids."""
        return None

    def slot(self, resource: Resource, resource_id: str, properties: Properties) -> str:
        """Where in its collection a resource is kept, for ids that are unique only beside something else."""
        return resource_id

    def new_id(self, resource: Resource, attempt: int) -> str:
        """An invented id, the same for the same URN and attempt."""
        return digest(resource.urn, str(attempt), length=32)

    def already_exists(self, resource: Resource, resource_id: str) -> str:
        """The refusal of a name that is taken."""
        return f"{resource.type} {resource_id!r} already exists"

    def pending(self, resource: Resource, inputs: Properties) -> Properties:
        """The computed outputs before creation: every output of the SDK's class that no input can give."""
        known = self.resource_class(resource)
        return dict.fromkeys(known.outputs.keys() - known.inputs.keys(), UNKNOWN) if known else {}

    def computed(
        self, resource: Resource, resource_id: str, inputs: Properties, previous: Properties
    ) -> Properties:
        """What the cloud adds to the inputs; `previous` is what it had added before an update."""
        return previous
