"""Simulated providers without a cloud: what they make is in the engine's state and nowhere else."""

# ruff: noqa: ARG002 - the core's hooks

from collections.abc import Callable, Mapping
from typing import ClassVar

from simulator.providers.core import Provider, ProviderError, Resource
from simulator.providers.differ import Change
from simulator.providers.values import Properties, reveal

Maker = Callable[[Properties], tuple[str, Properties]]
"""From a resource's inputs to its id and what is computed."""


class StateOnly(Provider):
    """A provider that makes things once, and keeps nothing of its own."""

    write_only: ClassVar[frozenset[str]] = frozenset()
    """Inputs that are never kept, so that a program reads nothing back."""

    def makers(self) -> Mapping[str, Maker]:
        """What is made, by the last part of its type."""
        raise NotImplementedError

    def forces_replacement(
        self, resource: Resource, change: Change, olds: Properties, news: Properties
    ) -> bool:
        """What is made cannot be changed, only made anew."""
        return True

    def create(self, resource: Resource, inputs: Properties) -> tuple[str, Properties]:
        """Make it."""
        self._fail_if_told(resource)
        make = self.makers().get(resource.type.rpartition(":")[2])
        if make is None:
            raise ProviderError(f"the simulated {self.package} provider does not make {resource.type}")
        resource_id, computed = make(reveal(inputs))
        kept = {name: value for name, value in inputs.items() if name not in self.write_only}
        return resource_id, self._outputs(resource, kept, computed)

    def read(
        self, resource: Resource, resource_id: str, old_inputs: Properties, old_state: Properties
    ) -> tuple[str, Properties, Properties]:
        """The state is the truth: there is nothing outside to ask."""
        return resource_id, old_inputs, old_state

    def update(
        self, resource: Resource, resource_id: str, old_state: Properties, news: Properties
    ) -> Properties:
        """Keep what was made."""
        return {**old_state, **news}

    def delete(self, resource: Resource, resource_id: str, old_state: Properties) -> None:
        """Forget nothing: nothing was kept."""
