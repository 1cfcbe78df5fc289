"""Reads a stack's configuration, once: the only place that knows `pulumi.Config` exists.

All faults are told in one message, each with the dotted path, what was found and what would be valid.
"""

import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final

import pulumi
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from settings.consistency import HOW_TO_SET, disagreements
from settings.model import Settings
from settings.section import Section
from settings.workload import CACHE, COLLECTOR, INTERNET, POOL

_REFERENCES: Final[Mapping[tuple[str, ...], Callable[[Mapping[str, Any]], Iterable[str]]]] = {
    ("workloads", "*", "namespace"): lambda data: _names(data, "platform", "namespaces"),
    ("workloads", "*", "secrets", "*"): lambda data: _names(data, "secrets"),
    ("workloads", "*", "talksTo", "*"): lambda data: (
        *_names(data, "workloads"),
        *({CACHE} & data.keys()),
        *((POOL,) if "database" in data else ()),
        *((COLLECTOR,) if _has(data, "monitoring", "traces") else ()),
        INTERNET,
    ),
    ("release", "workload"): lambda data: _names(data, "workloads"),
    ("database", "namespace"): lambda data: _names(data, "platform", "namespaces"),
    ("backup", "restoreNamespace"): lambda data: _names(data, "platform", "namespaces"),
    ("cache", "namespace"): lambda data: _names(data, "platform", "namespaces"),
    ("entrance", "namespace"): lambda data: _names(data, "platform", "namespaces"),
    ("entrance", "foreignRoutes", "*", "namespace"): lambda data: _names(data, "platform", "namespaces"),
    ("entrance", "certificate", "letsEncrypt", "token"): lambda data: _names(data, "secrets"),
    ("monitoring", "namespace"): lambda data: _names(data, "platform", "namespaces"),
    ("monitoring", "logs", "collector", "namespace"): lambda data: _names(data, "platform", "namespaces"),
}
"""Path of a name -> the declared names, read off the raw data, so that other faults don't hide these."""


@dataclass(frozen=True)
class SettingFault:
    """One wrong setting: its dotted path, what was found there and what would be valid."""

    path: str
    found: str
    valid: str


class SettingsError(pulumi.RunError):
    """The stack's settings are wrong: a `RunError`, of which the engine prints the message alone."""

    def __init__(self, file: str, faults: Sequence[SettingFault]) -> None:
        self.faults = list(faults)
        count = "1 setting is" if len(faults) == 1 else f"{len(faults)} settings are"
        lines = [f"{file}: {count} wrong"]
        for fault in faults:
            lines += [f"  {fault.path}", f"    found: {fault.found}", f"    valid: {fault.valid}"]
        lines.append(f"Edit {file} and try again; docs/reference/settings.md has every key.")
        super().__init__("\n".join(lines))


def load() -> Settings:
    """The settings of the stack that is being run.

    Raises:
        SettingsError: with every fault found.
    """
    project = pulumi.get_project()
    raw = {
        key.removeprefix(f"{project}:"): value
        for key, value in pulumi.runtime.config.CONFIG.get().items()
        if key.startswith(f"{project}:")
    }
    encrypted = {key for key in raw if pulumi.runtime.config.is_config_secret(f"{project}:{key}")}
    return parse(raw, file=f"Pulumi.{pulumi.get_stack()}.yaml", project=project, encrypted=encrypted)


def parse(
    raw: Mapping[str, str], *, file: str, project: str, encrypted: set[str] | frozenset[str] = frozenset()
) -> Settings:
    """Settings from configuration as the engine hands it over.

    Args:
        raw: a section's name -> its value, as JSON.
        file: the stack's file, for the message.
        project: the project's name, which prefixes every key of that file.
        encrypted: the sections that hold an encrypted value; what is found there is never printed.

    Raises:
        SettingsError: with every fault found.
    """
    if not raw:
        raise SettingsError(
            file, [SettingFault(f"{project}:*", "no settings", f"a file {file} with the stack's settings")]
        )
    data = {key: _decoded(value) for key, value in raw.items()}
    faults = [*_misplaced_secrets(encrypted), *_plain_secrets(data, encrypted), *_dangling_references(data)]
    settings = None
    try:
        settings = Settings.model_validate_json(json.dumps(data))
    except ValidationError as error:
        faults += [_told(detail, encrypted) for detail in error.errors()]
    if settings is not None:
        faults += [SettingFault(path, found, valid) for path, found, valid in disagreements(settings)]
    if settings is None or faults:
        raise SettingsError(
            file,
            [
                SettingFault(f"{project}:{fault.path}", fault.found, fault.valid)
                for fault in sorted(faults, key=lambda fault: fault.path)
            ],
        )
    return settings


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value  # a bare word: the model says that it wants a mapping


def _misplaced_secrets(encrypted: set[str] | frozenset[str]) -> Iterator[SettingFault]:
    for section in sorted(encrypted - {"secrets"}):
        yield SettingFault(
            section, "an encrypted value", "plain settings; encrypted values belong under secrets"
        )


def _plain_secrets(data: Mapping[str, Any], encrypted: set[str] | frozenset[str]) -> Iterator[SettingFault]:
    """Credentials in plain text: where the engine says that nothing of the section is encrypted."""
    if "secrets" in encrypted:
        return
    for path, _ in _matches(data, ("secrets", "*", "value")):
        name = path.split(".")[1]
        command = HOW_TO_SET.format(name=name)
        yield SettingFault(path, "plain text", f"an encrypted value, set by `{command}`")


def _dangling_references(data: Mapping[str, Any]) -> Iterator[SettingFault]:
    for pattern, names in _REFERENCES.items():
        try:
            known = sorted(names(data))
        except LookupError:
            continue
        for path, name in _matches(data, pattern):
            own = path.split(".")[1] if pattern[-2:] == ("talksTo", "*") else None
            if isinstance(name, str) and (name not in known or name == own):
                others = [candidate for candidate in known if candidate != own]
                yield SettingFault(path, repr(name), _one_of(name, others, "nothing of the kind is declared"))


def _has(data: Any, *path: str) -> bool:
    """Whether there is something at a path."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data is not None


def _names(data: Any, *path: str) -> list[str]:
    """The keys of the mapping at a path.

    Raises:
        LookupError: there is no mapping, which is a fault of its own; what refers to it is none.
    """
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping):
        raise LookupError(".".join(path))  # noqa: TRY004 nobody passed a wrong argument
    return list(data)


def _matches(node: Any, pattern: Sequence[str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value at the pattern's path, `*` standing for any key or index; other shapes are skipped."""
    if not pattern:
        yield path, node
        return
    head, *rest = pattern
    items: Iterator[tuple[Any, Any]]
    if isinstance(node, Mapping):
        items = iter(node.items())
    elif isinstance(node, list):
        items = iter(enumerate(node))
    else:
        return
    for key, value in items:
        if head in ("*", key):
            yield from _matches(value, rest, _joined(path, key))


def _joined(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _told(detail: ErrorDetails, encrypted: set[str] | frozenset[str]) -> SettingFault:
    """A validation error in our words: the path as the file has it, the value found, what would be valid."""
    location = [part for part in detail["loc"] if part != "[key]"]
    path = ""
    for part in location:
        path = _joined(path, part)
    kind, value = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return SettingFault(
            path, "an unknown key", _one_of(str(location[-1]), _known_keys(location[:-1]), "no key here")
        )
    if kind == "missing":
        return SettingFault(path, "nothing", f"required{_described(location)}")
    # Where something is encrypted the engine hands over the whole section decrypted: none of it is printed.
    found = "a value that is not shown" if location and location[0] in encrypted else _shown(value)
    if kind == "value_error":
        return SettingFault(path, found, str(detail["ctx"]["error"]))
    return SettingFault(path, found, detail["msg"].removeprefix("Input should be "))


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        return f"a {type(value).__name__} section"
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _one_of(name: str, known: Sequence[str], otherwise: str) -> str:
    if not known:
        return otherwise
    close = difflib.get_close_matches(name, known, n=1)
    return f"one of {', '.join(known)}" + (f"; did you mean {close[0]}?" if close else "")


def _section_at(location: Sequence[str | int]) -> type[Section] | None:
    """The model of the section at a path, following the fields' types."""
    section: Any = Settings
    for part in location:
        field = (
            next((f for f in section.model_fields.values() if f.alias == part), None)
            if _is_section(section)
            else None
        )
        if field is not None:
            section = _needed(field.annotation)
        elif getattr(section, "__args__", None):
            section = _needed(section.__args__[-1])  # the values of a dict, the items of a list
        else:
            return None
    return section if _is_section(section) else None


def _needed(annotation: Any) -> Any:
    """The type of what may be left out, when it is not."""
    some = [each for each in getattr(annotation, "__args__", ()) if each is not type(None)]
    return some[0] if isinstance(annotation, UnionType) and len(some) == 1 else annotation


def _is_section(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Section)


def _known_keys(location: Sequence[str | int]) -> list[str]:
    section = _section_at(location)
    return sorted(field.alias or name for name, field in section.model_fields.items()) if section else []


def _described(location: Sequence[str | int]) -> str:
    section = _section_at(location[:-1])
    fields = section.model_fields.values() if section else ()
    description = next((f.description for f in fields if f.alias == location[-1]), None)
    return f": {description}" if description else ""
