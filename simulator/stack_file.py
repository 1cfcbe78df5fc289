"""Copies of `Pulumi.<stack>.yaml` that can be read without the stack's key.

A stack's file holds encrypted values that only its owners can decrypt. A copy made here has a
placeholder in the place of each of them, encrypted with the passphrase of the private session
(`simulator/session.py`), so that the program still receives a secret, and everybody can preview.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from simulator.faults import USAGE, Fault

PASSPHRASE: Final = "simulated"  # noqa: S105 - see below
"""Encrypts placeholders and the state of a simulated cloud, and nothing else. It is public on purpose:
what it hides is made up. It exists because the engine then treats the values as the secrets that they
are in production: masked in its output, encrypted in its state."""

PLACEHOLDER: Final = "placeholder-not-a-real-secret"
"""What the program reads in the place of every secret."""

_SALT: Final = "v1:zLDW+7JUyTs=:v1:pmQ5Ad8yduaa9Yrp:703fcP87R077EhWUEc9vkGdWvZJ1Cg=="
_CIPHERTEXT: Final = "v1:js1dpkfdmethnVpB:yy4iRX3VU41/DS0VkHXAxzNFDSLLpJZGhnSe6zo+jEUDdtfYvyLVxJB6Cas/"
# The two are what `pulumi config set --secret` writes for PLACEHOLDER under PASSPHRASE. The engine binds
# a ciphertext neither to its key nor to its stack, so that one serves everywhere, and copying a file
# takes no call of the engine. A test has the engine decrypt it.

_KEYS_OF_ENCRYPTION: Final = ("encryptionsalt", "encryptedkey", "secretsprovider")
_MAP: Final = "tag:yaml.org,2002:map"
_STRING: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"


def stacks(program: Path) -> list[str]:
    """Return the names of a program's stacks: one per `Pulumi.<stack>.yaml`, sorted."""
    files = program.glob("Pulumi.*.yaml")
    return sorted(file.name.removeprefix("Pulumi.").removesuffix(".yaml") for file in files)


def with_placeholders(stack_file: Path, target: Path) -> list[str]:
    """Copy a stack's file with a placeholder in the place of each encrypted value.

    An empty mapping under `<project>:secrets` is a credential that nobody has set yet; it gets a placeholder
    as its `value` too.

    Everything else keeps its key, its type and its spelling: the copy is made on YAML nodes, which
    nothing has interpreted. Comments are not copied.

    Args:
        stack_file: a `Pulumi.<stack>.yaml`.
        target: the file to write.

    Returns:
        The dotted paths of the replaced values in the order of the file, like `fixia:database.password`
        or `fixia:tokens[0]`.

    Raises:
        Fault: the file is missing, is no YAML, is no mapping, or says one key twice.
    """
    root = _compose(stack_file)
    root.value = [pair for pair in root.value if pair[0].value not in _KEYS_OF_ENCRYPTION]
    configs = [value for key, value in root.value if key.value == "config"]
    replaced = [path for config in configs for fill in (_replace, _fill) for path in fill(config, "")]
    salt = (_text("encryptionsalt"), _text(_SALT))
    root.value.insert(0, salt)
    # Wide lines: a folded scalar would be the same value, but harder to compare.
    target.write_text(yaml.serialize(root, width=10_000), encoding="utf-8")
    return replaced


def without(stack_file: Path, section: Sequence[str]) -> None:
    """Remove a part of the settings from a copy of a stack's file; nothing happens where it is not there.

    Args:
        stack_file: the copy.
        section: the keys that lead to it below `config`, such as `fixia:monitoring`, `grafana`.

    Raises:
        Fault: the file is missing or no YAML.
    """
    root = _compose(stack_file)
    node: yaml.Node = root
    for key in ("config", *section[:-1]):
        found = [value for name, value in node.value if name.value == key]
        if not found or not isinstance(found[0], yaml.MappingNode):
            return
        node = found[0]
    node.value = [pair for pair in node.value if pair[0].value != section[-1]]
    stack_file.write_text(yaml.serialize(root, width=10_000), encoding="utf-8")


def _compose(stack_file: Path) -> yaml.MappingNode:
    try:
        text = stack_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise unknown_stack(stack_file) from None
    except UnicodeDecodeError as error:
        raise _unreadable(str(stack_file), f"byte {error.start} is not UTF-8") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{stack_file}:{mark.line + 1}:{mark.column + 1}" if mark else str(stack_file)
        raise _unreadable(where, f"broken YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise _unreadable(str(stack_file), f"broken YAML: {error}") from None
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == _NULL):
        return yaml.MappingNode(_MAP, [])  # An empty file is a stack without configuration.
    if not isinstance(root, yaml.MappingNode):
        line, kind = root.start_mark.line + 1, root.tag.rpartition(":")[2]
        raise _unreadable(f"{stack_file}:{line}", f"a {kind} where a mapping is expected")
    _refuse_duplicates(stack_file, root)
    return root


def _refuse_duplicates(stack_file: Path, root: yaml.Node) -> None:
    """Refuse a key that stands twice in one mapping: YAML readers take one of them in silence."""
    pending, seen = [root], {id(root)}  # An alias is the same node again, and may even stand inside itself.
    while pending:
        node = pending.pop(0)
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()
        lines: dict[tuple[str, str], int] = {}
        for key, _ in pairs:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if first := lines.get((key.tag, key.value)):
                raise Fault(
                    where=f"{stack_file}:{line}",
                    found=f"the key {key.value!r} for the second time; the first is in line {first}",
                    valid="each key once in its mapping",
                    do="remove one of the two, or merge what they say",
                    exit_code=USAGE,
                )
            lines[key.tag, key.value] = line
        items = (
            node.value if isinstance(node, yaml.SequenceNode) else [part for pair in pairs for part in pair]
        )
        fresh = [item for item in items if isinstance(item, yaml.CollectionNode) and id(item) not in seen]
        seen.update(id(item) for item in fresh)
        pending += fresh


def unknown_stack(stack_file: Path) -> Fault:
    """Return the fault that names the stacks which exist beside a missing file."""
    existing = ", ".join(stacks(stack_file.parent)) or "none: no Pulumi.<stack>.yaml is there"
    return Fault(
        where=str(stack_file),
        found="there is no such stack file",
        valid=f"a stack of this program ({existing})",
        do="name one of them with --stack",
        exit_code=USAGE,
    )


def _unreadable(where: str, found: str) -> Fault:
    return Fault(
        where=where,
        found=found,
        valid="a YAML mapping with the key `config`, as `pulumi config set` writes it",
        do="correct the file; `git diff` shows what changed last",
        exit_code=USAGE,
    )


def _replace(node: yaml.Node, path: str) -> Iterator[str]:
    """Replace each `{secure: ...}` below a node in place, and yield its path."""
    if _is_secret(node):
        node.value[0] = (node.value[0][0], _text(_CIPHERTEXT))
        yield path
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _replace(value, f"{path}.{key.value}" if path else str(key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _replace(value, f"{path}[{index}]")


def _fill(config: yaml.Node, path: str) -> Iterator[str]:
    """Give each credential that is declared and not set a placeholder, and yield the path of its value."""
    for key, section in config.value if isinstance(config, yaml.MappingNode) else ():
        if not key.value.endswith(":secrets") or not isinstance(section, yaml.MappingNode):
            continue
        for name, secret in section.value:
            if isinstance(secret, yaml.MappingNode) and not secret.value:
                encrypted = yaml.MappingNode(_MAP, [(_text("secure"), _text(_CIPHERTEXT))])
                secret.value = [(_text("value"), encrypted)]
                yield f"{path}{key.value}.{name.value}.value"


def _is_secret(node: yaml.Node) -> bool:
    """Tell whether the engine takes a node for an encrypted value: a mapping of `secure` alone."""
    if not isinstance(node, yaml.MappingNode) or len(node.value) != 1:
        return False
    key, value = node.value[0]
    return key.value == "secure" and isinstance(value, yaml.ScalarNode)


def _text(value: str) -> yaml.ScalarNode:
    return yaml.ScalarNode(_STRING, value)
