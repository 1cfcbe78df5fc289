"""The settings as others read them: a JSON Schema for editors, a page for people.

`python -m settings.schema` writes both to docs/reference/; a test holds that they are current.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from settings.model import Settings

ROOT: Final = Path(__file__).parent.parent
REFERENCE: Final = ROOT / "docs" / "reference"

_ENCRYPTED: Final = {
    "type": "object",
    "properties": {"secure": {"type": "string"}},
    "required": ["secure"],
    "additionalProperties": False,
    "description": "Encrypted by the stack's secrets provider; written by `pulumi config set --secret`.",
}


def stack_file_schema(project: str) -> dict[str, Any]:
    """The JSON Schema of a file `Pulumi.<stack>.yaml`.

    Args:
        project: the project's name, which prefixes every key.
    """
    model = Settings.model_json_schema(by_alias=True, mode="validation")
    definitions = model.pop("$defs")
    definitions["Secret"]["properties"]["value"]["anyOf"][0] = _ENCRYPTED
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Settings of a stack of {project}",
        "type": "object",
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "properties": {f"{project}:{key}": value for key, value in model["properties"].items()},
                "required": [f"{project}:{key}" for key in model["required"]],
                # Pulumi's own keys (`pulumi:disable-default-providers`) stand beside ours.
                "patternProperties": {f"^(?!{project}:)": True},
                "additionalProperties": False,
            },
            "secretsprovider": {"type": "string"},
            "encryptedkey": {"type": "string"},
            "encryptionsalt": {"type": "string"},
        },
        "additionalProperties": False,
        "$defs": definitions,
    }


def reference_page(project: str) -> str:
    """The page of every key: its type, whether it must be given, and what it means."""
    schema = Settings.model_json_schema(by_alias=True, mode="validation")
    lines = [
        "# Settings of a stack",
        "",
        "Generated from `settings/model.py` by `make docs`; a test holds that it is current.",
        "`*` stands for a name of your own. Unknown keys are refused, and all faults are told at once.",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{project}:{path}` | {kind} | {default} | {meaning} |"
        for path, kind, default, meaning in _rows(schema, schema["$defs"], "")
    ]
    return "\n".join(lines) + "\n"


def _rows(
    node: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str
) -> Iterator[tuple[str, str, str, str]]:
    required = node.get("required", [])
    for key, value in node.get("properties", {}).items():
        path = f"{prefix}{key}"
        inner = _resolved(value, definitions)
        items = inner.get("additionalProperties") or next(
            iter(inner.get("patternProperties", {}).values()), None
        )
        optional = _optional_section(inner, definitions)
        if inner.get("properties"):
            yield from _rows(inner, definitions, f"{path}.")
        elif optional:
            yield path, "section", "none", _meaning(inner)
            yield from _rows(optional, definitions, f"{path}.")
        elif isinstance(items, Mapping) and "properties" in _resolved(items, definitions):
            yield from _rows(_resolved(items, definitions), definitions, f"{path}.*.")
        else:
            default = "required" if key in required else _default(inner)
            yield path, _kind(inner), default, _meaning(inner)


def _optional_section(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any] | None:
    """The section that may be left out; None if the node is something else."""
    options = [_resolved(option, definitions) for option in node.get("anyOf", ())]
    sections = [option for option in options if "properties" in option]
    return sections[0] if len(sections) == 1 else None


def _meaning(node: Mapping[str, Any]) -> str:
    return str(node.get("description", "")).replace("\n", " ").replace("|", "\\|")


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return {
            **definitions[node["$ref"].rpartition("/")[2]],
            **{k: v for k, v in node.items() if k != "$ref"},
        }
    return dict(node)


def _default(node: Mapping[str, Any]) -> str:
    value = node.get("default")
    return "none" if value is None else f"`{json.dumps(value)}`"


def _kind(node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:
        return " or ".join(_kind(option) for option in node["anyOf"] if option.get("type") != "null")
    if node.get("format") == "password":
        return "encrypted string"
    kind = str(node.get("type", "any"))
    if kind == "array":
        return f"list of {_kind(node['items'])}"
    if kind == "object":
        return "mapping of strings"
    if "minimum" in node and "maximum" in node:
        return f"{kind}, {node['minimum']} to {node['maximum']}"
    examples = node.get("examples")
    return f"{kind}, such as `{examples[0]}`" if examples else kind


def generated() -> dict[Path, str]:
    """Every generated file of the settings, with what should stand in it."""
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["name"]
    return {
        REFERENCE / "stack-settings.schema.json": json.dumps(stack_file_schema(project), indent=2) + "\n",
        REFERENCE / "settings.md": reference_page(project),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
