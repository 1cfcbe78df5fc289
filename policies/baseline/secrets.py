"""Credentials: never in plain text, and as files rather than variables.

What a policy finds here it never prints: the engine has unwrapped secrets by then.
"""

import re
from collections.abc import Iterator
from typing import Final

from pulumi_policy import EnforcementLevel, Severity

from baseline.frameworks import cis_kubernetes
from baseline.manifests import Manifest, Pod, has_pods_of
from baseline.model import UNKNOWN, Policy, Value, Violation
from baseline.subjects import ObjectPolicy, PodPolicy
from baseline.tree import Node

HIDDEN: Final = "(a literal, not shown)"

_NAME: Final = re.compile(
    r"(?i)(^|[^a-z])(password|passwd|passphrase|secret|token|api[-_.]?key|private[-_.]?key|access[-_.]?key"
    r"|credentials?)s?$|password$|apikey$"
)
"""Names of what is a credential itself; PASSWORD_FILE and password_encryption are not."""

_TEXT: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:[^\s/@'\"$<{]+@"
)
"""Credentials that anybody knows at sight: keys, cloud and chat tokens, passwords in URLs."""

_SETTING: Final = re.compile(
    r"(?im)^[ \t]*(?:[\"']?[\w.-]*(?:password|passwd|passphrase|secret|token|api_?key)[\"']?[ \t]*[:=]"
    r"|(?:requirepass|masterauth)[ \t])"
    r"[ \t]*[\"']?[^\s\"'$<{(/,;]{6,}[\"']?[ \t]*,?[ \t]*$"
)
"""A line of a settings file that gives one: ``password = hunter22``. Not a path, a reference or shell."""

_ARGUMENT: Final = re.compile(
    r"(?i)^--?[\w.-]*(password|passwd|secret|token|api-?key)[= ](?P<value>[^\s$/<{(]\S*)$"
)


def _harmless(value: str) -> bool:
    return (
        value == ""
        or value.startswith(("/", "$", "file:"))
        or value.lower() in ("true", "false", "none", "null")
    )


def _literal(name: str, node: Node) -> Iterator[Violation]:
    """Look at a named literal."""
    value = node.value
    named = _NAME.search(name) is not None
    if value is UNKNOWN and named:
        yield Violation(node.path, UNKNOWN, "absent; a Secret's file instead")
    elif isinstance(value, str) and ((named and not _harmless(value)) or _TEXT.search(value)):
        yield Violation(node.path, HIDDEN, "no credential; a Secret's file instead")


def _flag_follows(values: list[Value], index: int) -> bool:
    before = values[index - 1] if index else None
    flag = isinstance(before, str) and before.startswith("-") and "=" not in before
    return flag and _NAME.search(str(before).lstrip("-")) is not None


def check_plaintext(manifest: Manifest) -> Iterator[Violation]:
    """Refuse credentials in environment variables, arguments and ConfigMaps."""
    if manifest.kind.is_any(("core", "ConfigMap")):
        for entry in manifest.root.at("data").fields():
            yield from _entry(entry)
    for pod in manifest.pods():
        for container in pod.containers():
            for variable in container.at("env").items():
                name = variable.at("name").value
                yield from _literal(name if isinstance(name, str) else "", variable.at("value"))
            for key in ("command", "args"):
                arguments = container.at(key).items()
                values = [argument.value for argument in arguments]
                for index, argument in enumerate(arguments):
                    yield from _argument(argument, _flag_follows(values, index))


def _argument(argument: Node, after_flag: bool) -> Iterator[Violation]:
    value = argument.value
    if not isinstance(value, str):
        return
    given = after_flag and not _harmless(value) and not value.startswith("-")
    if given or _ARGUMENT.match(value) or _TEXT.search(value):
        yield Violation(argument.path, HIDDEN, "no credential; the path of a Secret's file instead")


def _entry(entry: Node) -> Iterator[Violation]:
    name = entry.path.rpartition('["')[2].rstrip('"]') if entry.path.endswith('"]') else entry.key
    if isinstance(entry.value, str) and "\n" in entry.value:
        if _TEXT.search(entry.value) or _settings(name, entry.value):
            yield Violation(entry.path, HIDDEN, "no credential; a Secret instead of the ConfigMap")
        return
    yield from _literal(name, entry)
    if isinstance(entry.value, str) and not _NAME.search(name) and _settings(name, entry.value):
        yield Violation(entry.path, HIDDEN, "no credential; a Secret instead of the ConfigMap")


def _settings(name: str, text: str) -> bool:
    if name.endswith((".sh", ".sql", ".md", ".mjs", ".js", ".py", ".crt", ".pem")) or text.startswith("#!"):
        return False  # Programs talk about passwords all the time.
    return _SETTING.search(text) is not None


def check_files(pod: Pod) -> Iterator[Violation]:
    """Advise against Secrets as environment variables: every child process and crash report has those."""
    for container in pod.containers():
        for variable in container.at("env").items():
            source = variable.at("valueFrom", "secretKeyRef")
            if source.value is not None:
                yield Violation(source.path, source.value, "absent; a volume of the Secret instead")
        for block in container.at("envFrom").items():
            source = block.at("secretRef")
            if source.value is not None:
                yield Violation(source.path, source.value, "absent; a volume of the Secret instead")


POLICIES: Final[tuple[Policy, ...]] = (
    ObjectPolicy(
        name="no-plaintext-credentials",
        description="Credentials must not stand in environment variables, arguments or ConfigMaps.",
        remedy="Put it into a Secret, mount that, and give the program the file's path.",
        severity=Severity.CRITICAL,
        framework=cis_kubernetes("5.4.1"),
        anchors=("kube-linter:env-var-secret", "C-0012", "polaris:sensitiveContainerEnvVar"),
        selects=lambda kind: has_pods_of(kind) or kind.is_any(("core", "ConfigMap")),
        check=check_plaintext,
    ),
    PodPolicy(
        name="secrets-as-files",
        description="Secrets should reach programs as files.",
        remedy="Mount the Secret as a volume and have the program read the file.",
        severity=Severity.LOW,
        framework=cis_kubernetes("5.4.1"),
        anchors=("CKV_K8S_35", "CIS-5.4.1", "C-0207"),
        level=EnforcementLevel.ADVISORY,
        check=check_files,
    ),
)
