"""The pack without an engine: over an exported state, or over manifests.

Needs neither an account nor a program. What only an engine knows is unknown here, and reported as undecided:
of manifests, whether a resource is protected.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

from baseline.adapter import EXEMPTIONS_CURRENT, EXEMPTIONS_DESCRIPTION, EXEMPTIONS_REMEDY, configured
from baseline.exemptions import KEY, Ledger
from baseline.model import UNKNOWN, Policy, Resource, ResourcePolicy, StackPolicy, Value, Violation
from baseline.tree import MalformedError

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key that marks what is no plain value in a state. Source: the engine's sdk/go/common/resource/sig."""

_SUFFIXES: Final = (".yaml", ".yml", ".json")


class InputError(ValueError):
    """What was given can't be read; the message says where, what is valid and what to do."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A resource as it was asked for and as it is.

    Attributes:
        inputs: What resource policies read.
        outputs: What stack policies read.
    """

    inputs: Resource
    outputs: Resource


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a policy found.

    Attributes:
        policy: The policy's name.
        level: ``mandatory``, ``advisory`` or ``undecided``.
        severity: How bad it is.
        where: The resource and the property.
        text: What was found, what is valid, and the remedy.
    """

    policy: str
    level: str
    severity: str
    where: str
    text: str


def read_state(file: Path) -> list[Snapshot]:
    """Read what `pulumi stack export` wrote.

    Args:
        file: The file.

    Returns:
        The resources; secrets are unknown, as an export does not show them.

    Raises:
        InputError: It is no such file.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = content["deployment"].get("resources") or []
        return [_snapshot(one) for one in found]
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: no exported state ({type(error).__name__}: {error}); valid: what `pulumi stack export` "
            "prints; run `pulumi stack export --file state.json` and name that file"
        ) from None


def _snapshot(record: Mapping[str, Any]) -> Snapshot:
    urn = str(record["urn"])
    links = {
        str(key): tuple(map(str, urns or ()))
        for key, urns in (record.get("propertyDependencies") or {}).items()
    }
    inputs = Resource(
        str(record["type"]),
        urn.split("::", 3)[-1],
        urn,
        _block(record.get("inputs")),
        bool(record.get("protect")),
        links,
    )
    return Snapshot(inputs, replace(inputs, properties=_block(record.get("outputs")) or inputs.properties))


def _block(value: object) -> dict[str, Value]:
    plain = _plain(value)
    return plain if isinstance(plain, dict) else {}


def _plain(value: object) -> Value:
    if isinstance(value, Mapping):
        if _SIGNATURE in value:
            return UNKNOWN
        return {str(key): _plain(one) for key, one in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def read_manifests(place: Path) -> list[Snapshot]:
    """Read Kubernetes objects from a file or from all files below a folder.

    Args:
        place: The file or folder; files with one or more documents of YAML or JSON.

    Returns:
        The objects, as resources.

    Raises:
        InputError: There is none, or one can't be read.
    """
    files = sorted(one for one in place.rglob("*") if one.suffix in _SUFFIXES) if place.is_dir() else [place]
    found: list[Snapshot] = []
    for file in files:
        try:
            documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
            raise InputError(
                f"{file}: {error}; valid: YAML or JSON; mend the file, or move it away"
            ) from None
        found += [_manifest(file, one) for one in documents if _is_object(one)]
    if not found:
        raise InputError(
            f"{place}: no Kubernetes object in {len(files)} files; valid: objects in {', '.join(_SUFFIXES)} "
            "files; render them first, such as with `python -m simulator render` or `helm template`"
        )
    return found


def _is_object(document: object) -> bool:
    return isinstance(document, dict) and all(
        isinstance(document.get(key), str) for key in ("apiVersion", "kind")
    )


def _manifest(file: Path, document: Mapping[str, Any]) -> Snapshot:
    version, kind = document["apiVersion"], document["kind"]
    token = f"kubernetes:{version if '/' in version else f'core/{version}'}:{kind}"
    metadata = document.get("metadata")
    name = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
    one = Resource(token, name or file.stem, f"{file}::{token}::{name or file.stem}", _block(document), None)
    return Snapshot(one, one)


def read_config(file: Path | None, policies: Iterable[Policy]) -> dict[str, Any]:
    """Read levels, options and exemptions.

    Args:
        file: As for ``--policy-pack-config``; None for none.
        policies: The policies that it may be about.

    Returns:
        Policy to its settings.

    Raises:
        InputError: It is no such file, or names a policy that does not exist.
    """
    if file is None:
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{file}: {error}; valid: a JSON file of policies; name another") from None
    names = {policy.name for policy in policies}
    if not isinstance(content, dict) or set(content) - names:
        unknown = sorted(set(content) - names) if isinstance(content, dict) else [type(content).__name__]
        raise InputError(
            f"{file}: {', '.join(unknown)}: no policy; valid: {', '.join(sorted(names))}; correct it"
        )
    return {name: {"enforcementLevel": own} if isinstance(own, str) else own for name, own in content.items()}


def run(
    policies: Sequence[Policy], snapshots: Sequence[Snapshot], config: Mapping[str, Any], ledger: Ledger
) -> Iterator[Finding]:
    """Run policies over resources as the engine does.

    Args:
        policies: The policies.
        snapshots: The resources.
        config: What `read_config` returned.
        ledger: Keeps the exemptions.

    Yields:
        The findings, by policy.
    """
    for policy in policies:
        own = config.get(policy.name, {})
        level = own.get("enforcementLevel", policy.level.value)
        exemptions = ledger.enter(policy.name, own.get(KEY))
        if level == "disabled":
            continue
        for violation in _violations(configured(policy, own), snapshots):
            urn = violation.resource.urn if violation.resource else ""
            covering = [one for one in exemptions if one.covers(urn, violation.path)]
            for exemption in covering:
                ledger.needed(exemption)
            if not covering:
                stated = "undecided" if violation.undecided else level
                yield Finding(
                    policy.name, stated, policy.severity.value, violation.where, policy.message(violation)
                )
    for fault in ledger.faults():
        text = f"{fault}.\n{EXEMPTIONS_DESCRIPTION}\nRemedy: {EXEMPTIONS_REMEDY}"
        yield Finding(EXEMPTIONS_CURRENT, "mandatory", "medium", fault, text)


def _violations(policy: Policy, snapshots: Sequence[Snapshot]) -> Iterator[Violation]:
    selected = [one for one in snapshots if policy.applies_to(one.inputs.type)]
    if isinstance(policy, StackPolicy):
        try:
            yield from policy.evaluate([one.outputs for one in selected])
        except MalformedError as error:
            yield error.violation
    elif isinstance(policy, ResourcePolicy):
        for one in selected:
            try:
                for violation in policy.evaluate(one.inputs):
                    yield replace(violation, resource=one.inputs)
            except MalformedError as error:
                yield replace(error.violation, resource=one.inputs)
