"""The types of a provider's resources, read from the installed SDK's own classes.

The simulated providers refuse what the SDK's types do not allow. Importing an SDK to ask for its type hints
costs seconds (cloudflare: 2.1 s), so its generated source is read instead: one class at a time, on demand,
through `ast`. A class of 40,000 lines of source is found in about ten milliseconds.
"""

import ast
import functools
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class Anything:
    """Any value is right, because the SDK says so or says nothing we can read."""


@dataclass(frozen=True)
class Primitive:
    """A string, an integer, a number or a boolean."""

    name: str


@dataclass(frozen=True)
class Choice:
    """One of a closed list of values."""

    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True)
class ListOf:
    """A list of items of one type."""

    item: "Type"


@dataclass(frozen=True)
class MapOf:
    """An object with free keys and values of one type."""

    item: "Type"


@dataclass(frozen=True)
class AssetOrArchive:
    """A file or an archive."""


@dataclass(frozen=True)
class OneOf:
    """Any of several types."""

    options: tuple["Type", ...]


@dataclass(frozen=True)
class Record:
    """An object whose class stands in a source file; its fields are read when they are asked for."""

    source: Path
    class_name: str

    def fields(self) -> Mapping[str, "Field"]:
        """The fields by their wire (camelCase) name."""
        return _source(self.source).fields(self.class_name)


Type = Anything | Primitive | Choice | ListOf | MapOf | AssetOrArchive | OneOf | Record


@dataclass(frozen=True)
class Field:
    """One property of an object.

    Attributes:
        type: what a value must be.
        required: whether it must be given.
        available: the values that the SDK's documentation lists as the only ones, if it does.
    """

    type: Type
    required: bool
    available: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResourceClass:
    """A resource of an SDK.

    Attributes:
        inputs: what a program may set.
        outputs: what a program may read, by wire name.
        secret_outputs: the outputs that the SDK declares secret.
    """

    inputs: Mapping[str, Field]
    outputs: Mapping[str, Type]
    secret_outputs: frozenset[str]


_PRIMITIVES: Final[Mapping[str, Type]] = {
    "str": Primitive("str"),
    "int": Primitive("int"),
    "float": Primitive("float"),
    "bool": Primitive("bool"),
    "Any": Anything(),
    "Asset": AssetOrArchive(),
    "Archive": AssetOrArchive(),
}
_CLASS: Final = re.compile(r"^class (\w+)[(:]", re.MULTILINE)
_NEXT: Final = re.compile(r"^(?=\S)", re.MULTILINE)
_INIT: Final = re.compile(r"    def __init__\((.*?)\):\n", re.DOTALL)
_GETTER: Final = re.compile(
    r'    @pulumi\.getter(?:\(name="(\w+)"\))?\n.*?    def (\w+)\(self\) -> (.*?):\n((?:        """.*?""")?)',
    re.DOTALL,
)
_AVAILABLE: Final = re.compile(r'Available values: ((?:"[^"\n]*"(?:, )?)+)')
_SECRET_OUTPUTS: Final = re.compile(r"additional_secret_outputs=(\[[^\]]*\])")


class Sdk:
    """One installed provider SDK.

    Args:
        package: the provider's name, such as `kubernetes`.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        spec = importlib.util.find_spec(f"pulumi_{package}")
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"pulumi-{package} is not installed")
        self._root = Path(spec.origin).parent

    @functools.cached_property
    def version(self) -> str:
        """The SDK's release, which is also the release that its plugin must say it is."""
        plugin = json.loads((self._root / "pulumi-plugin.json").read_text())
        return str(plugin["version"]).removeprefix("v")

    @functools.cached_property
    def _classes(self) -> Mapping[str, tuple[Path, str]]:
        text = (self._root / "__init__.py").read_text()
        listing = text.partition('resource_modules="""')[2].partition('"""')[0]
        return {
            token: (self._root.joinpath(*module["fqn"].split(".")[1:]), class_name)
            for module in json.loads(listing or "[]")
            for token, class_name in module["classes"].items()
        }

    @functools.cache  # noqa: B019 - one Sdk lives as long as its process
    def resource(self, token: str) -> ResourceClass | None:
        """The resource of a type token, or None if the SDK has no such resource."""
        if token not in self._classes:
            return None
        folder, class_name = self._classes[token]
        return _resource_class(_find_source(folder, class_name, token), class_name)

    def type_of(self, module: str, class_name: str) -> Type:
        """A class of inputs that belongs to no one resource, such as `meta.v1`'s `ObjectMetaArgs`."""
        return Record(self._root.joinpath(*module.split("."), "_inputs.py"), class_name)

    @functools.cached_property
    def provider(self) -> ResourceClass:
        """The provider's own configuration."""
        return _resource_class(self._root / "provider.py", "Provider")


def _find_source(folder: Path, class_name: str, token: str) -> Path:
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", token.split(":")[1].rpartition("/")[2]).lower()
    for stem in (class_name, module):
        if (folder / f"{stem}.py").exists():
            return folder / f"{stem}.py"
    heading = f"\nclass {class_name}(pulumi."
    return next(file for file in sorted(folder.glob("*.py")) if heading in file.read_text())


def _resource_class(path: Path, class_name: str) -> ResourceClass:
    source = _source(path)
    arguments = class_name + ("InitArgs" if f"{class_name}InitArgs" in source.classes else "Args")
    body = source.body(class_name)
    outputs = {wire or name: source.type(kind) for wire, name, kind, _ in _GETTER.findall(body)}
    secrets = _SECRET_OUTPUTS.search(body)
    return ResourceClass(
        inputs=source.fields(arguments),
        outputs=outputs,
        secret_outputs=frozenset(ast.literal_eval(secrets[1]) if secrets else ()),
    )


@functools.cache
def _source(path: Path) -> "_Source":
    return _Source(path)


class _Source:
    """One generated source file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = path.read_text(encoding="utf-8")
        self.classes = {match[1]: match.start() for match in _CLASS.finditer(self._text)}
        self._fields: dict[str, Mapping[str, Field]] = {}

    def body(self, class_name: str) -> str:
        start = self.classes[class_name]
        end = _NEXT.search(self._text, start + 1)
        return self._text[start : end.start() if end else None]

    def fields(self, class_name: str) -> Mapping[str, Field]:
        if class_name not in self._fields:
            self._fields[class_name] = self._read_fields(class_name)
        return self._fields[class_name]

    def _read_fields(self, class_name: str) -> Mapping[str, Field]:
        body = self.body(class_name)
        signature = _INIT.search(body)
        if signature is None:
            return {}
        function = ast.parse(f"def f({signature[1]}): pass").body[0]
        assert isinstance(function, ast.FunctionDef)  # noqa: S101 - for the type checker
        getters = {name: (wire or name, doc) for wire, name, _, doc in _GETTER.findall(body)}
        fields: dict[str, Field] = {}
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
            wire, doc = getters.get(argument.arg, (argument.arg, ""))
            if argument.annotation is not None:
                available = _AVAILABLE.search(doc)
                fields[wire] = Field(
                    type=self._type(argument.annotation),
                    required=default is None,
                    # The documentation's Markdown has turned some underscores into stars.
                    available=tuple(json.loads(f"[{available[1].rstrip(', ')}]".replace("*", "_")))
                    if available
                    else (),
                )
        return fields

    def type(self, annotation: str) -> Type:
        """The type that an annotation's text says."""
        return self._type(ast.parse(annotation, mode="eval").body)

    def _type(self, node: ast.expr) -> Type:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self._named(node.value)
        if isinstance(node, ast.Subscript):
            return self._generic(ast.unparse(node.value).rpartition(".")[2], node.slice)
        return _PRIMITIVES.get(ast.unparse(node).rpartition(".")[2], Anything())

    def _generic(self, name: str, inner: ast.expr) -> Type:
        parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        if name in ("Input", "Output", "Optional"):
            return self._type(parts[0])
        if name == "Sequence":
            return ListOf(self._type(parts[0]))
        if name == "Mapping":
            return MapOf(self._type(parts[1]))
        if name == "Literal":
            return Choice(tuple(ast.literal_eval(part) for part in parts))
        if name == "Union":
            options = tuple(dict.fromkeys(self._type(part) for part in parts))
            return options[0] if len(options) == 1 else OneOf(options)
        return Anything()

    def _named(self, name: str) -> Type:
        """The type behind a forward reference such as `'_meta.v1.ObjectMetaArgs'`."""
        *modules, class_name = name.split(".")
        folder = self._path.parent
        if modules:
            imported = self._imports.get(modules[0])
            if imported is None:
                return Anything()
            folder = imported.joinpath(*modules[1:])
        for file in (folder / "_inputs.py", folder / "_enums.py", self._path):
            if file.exists() and class_name in _source(file).classes:
                return _source(file).enumeration(class_name) or Record(file, class_name)
        return Anything()

    @functools.cached_property
    def _imports(self) -> Mapping[str, Path]:
        """The package-relative modules that the file imports, by alias."""
        found: dict[str, Path] = {}
        for dots, module, alias in re.findall(
            r"^from (\.+) import (\w+) as (\w+)$", self._text, re.MULTILINE
        ):
            found[alias] = self._path.parents[len(dots) - 1] / module
        return found

    def enumeration(self, class_name: str) -> Choice | None:
        """The values of an enumeration class, or None if the class is none."""
        body = self.body(class_name)
        if "Enum)" not in body.partition("\n")[0]:
            return None
        values = re.findall(r"^    \w+ = (.+)$", body, re.MULTILINE)
        return Choice(tuple(ast.literal_eval(value) for value in values))
