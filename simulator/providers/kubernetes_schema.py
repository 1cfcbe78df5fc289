"""The API server's own OpenAPI schemas, for the simulated kubernetes provider.

The schemas come with the package kubernetes-validate, one set per Kubernetes release. They are read with a
validator kept per kind, because that package's own entry point reads 1.5 MB of definitions on every call.
"""

import functools
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from simulator.providers.typecheck import Failure
from simulator.providers.values import UNKNOWN, Properties, join, type_name

VERSION: Final = "1.34"
"""The release whose schemas are used unless the environment or a test names another one."""

_UNEXPECTED: Final = re.compile(r"'([^']*)'")


def has_schema(manifest: Properties, version: str = VERSION) -> bool:
    """Whether the release knows the manifest's `apiVersion` and `kind`."""
    return _path(str(manifest.get("apiVersion")), str(manifest.get("kind")), version).exists()


def check_schema(manifest: Properties, version: str = VERSION) -> Iterator[Failure]:
    """The failures of a manifest against the API's schema, strictly: unknown fields are failures.

    Args:
        manifest: an object with `apiVersion` and `kind`, without `Secret` marks; an unknown part fits all.
        version: the Kubernetes release, such as `1.34`.
    """
    validator = _validator(str(manifest.get("apiVersion")), str(manifest.get("kind")), version)
    if validator is None:
        return
    for error in validator.iter_errors(manifest):
        yield from _failures(error, version)


def _failures(error: Any, version: str) -> Iterator[Failure]:
    if error.instance is UNKNOWN:
        return
    path = ""
    for step in error.absolute_path:
        path = join(path, step)
    if error.validator == "additionalProperties":
        # Names only: the message would quote the whole instance, which may hold a secret.
        for name in error.instance.keys() - error.schema.get("properties", {}).keys():
            yield Failure(join(path, name), f"unknown property in Kubernetes {version}")
    elif error.validator == "required":
        for name in error.validator_value:
            if name not in error.instance:
                yield Failure(join(path, name), "missing required property")
    elif error.validator == "type":
        wanted = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        names = " or ".join(name for name in wanted if name != "null")
        found = type_name.get(type(error.instance), "an object")
        yield Failure(path, f"expected {names}, found {found}")
    elif error.validator == "enum":
        yield Failure(
            path, "expected one of " + ", ".join(json.dumps(value) for value in error.validator_value)
        )
    else:
        yield Failure(path, f"not valid in Kubernetes {version} ({error.validator})")


@functools.cache
def _validator(api_version: str, kind: str, version: str) -> Any | None:
    path = _path(api_version, kind, version)
    if not path.exists():
        return None
    # Imported late: 60 ms that a provider without kubernetes objects never spends.
    from jsonschema.validators import Draft202012Validator
    from referencing import Registry, Resource

    schema = Resource.from_contents(json.loads(path.read_text()))
    registry: Registry[Any] = schema @ (Resource.from_contents(_definitions(version)) @ Registry())
    return Draft202012Validator(schema.contents, registry=registry)


def _path(api_version: str, kind: str, version: str) -> Path:
    group, _, release = api_version.rpartition("/")
    name = "-".join(filter(None, (kind.lower(), group.partition(".")[0], release)))
    return _folder(version) / f"{name}.json"


@functools.cache
def _definitions(version: str) -> Any:
    return json.loads((_folder(version) / "_definitions.json").read_text())


@functools.cache
def _folder(version: str) -> Path:
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("kubernetes-validate is not installed")
    folder = Path(spec.origin).parent / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    if not folder.is_dir():
        raise FileNotFoundError(f"kubernetes-validate has no schemas for Kubernetes {version}")
    return folder
