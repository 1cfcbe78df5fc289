"""IAM policy documents for the simulated AWS: rendering them, and refusing the malformed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, digest, join

VERSIONS: Final = ("2008-10-17", "2012-10-17")
ELEMENTS: Final[Mapping[str, str]] = {
    "actions": "Action",
    "notActions": "NotAction",
    "resources": "Resource",
    "notResources": "NotResource",
}
PRINCIPALS: Final[Mapping[str, str]] = {"principals": "Principal", "notPrincipals": "NotPrincipal"}


def render(args: Properties) -> Properties:
    """The answer of `aws:iam/getPolicyDocument:getPolicyDocument`.

    Args:
        args: the function's arguments, by wire name.
    """
    statements = _merged(args.get("sourcePolicyDocuments"), [])
    statements += [_statement(one) for one in args.get("statements") or []]
    statements = _merged(args.get("overridePolicyDocuments"), statements)
    document: dict[str, Any] = {"Version": args.get("version") or VERSIONS[-1]}
    if args.get("policyId"):
        document["Id"] = args["policyId"]
    document["Statement"] = statements
    text = json.dumps(document, indent=2)
    return {
        **args,
        "id": str(int(digest(text, length=8), 16)),
        "json": text,
        "minifiedJson": json.dumps(document, separators=(",", ":")),
    }


def check_document(value: Any, path: str) -> Iterator[Failure]:
    """Refuse a text that is no policy document; what is not known or not a text is passed over."""
    if not isinstance(value, str):
        return
    try:
        document = json.loads(value)
    except ValueError as error:
        yield Failure(path, f"contains an invalid JSON policy: {error}")
        return
    if not isinstance(document, dict) or "Statement" not in document:
        yield Failure(path, "expected a policy document with a Statement")
        return
    version = document.get("Version", VERSIONS[-1])
    if version not in VERSIONS:
        yield Failure(join(path, "Version"), f"expected one of {', '.join(VERSIONS)}, found {version!r}")
    statements = document["Statement"]
    for index, statement in enumerate(statements if isinstance(statements, list) else [statements]):
        where = join(join(path, "Statement"), index)
        if not isinstance(statement, dict):
            yield Failure(where, "expected an object")
            continue
        if statement.get("Effect") not in ("Allow", "Deny"):
            yield Failure(join(where, "Effect"), f"expected Allow or Deny, found {statement.get('Effect')!r}")
        if "Action" not in statement and "NotAction" not in statement:
            yield Failure(join(where, "Action"), "missing required property")
        if not statement.keys() & {"Principal", "NotPrincipal", "Resource", "NotResource"}:
            yield Failure(where, "expected a Resource or a Principal, found neither")


def _statement(args: Properties) -> dict[str, Any]:
    statement: dict[str, Any] = {"Sid": args["sid"]} if args.get("sid") else {}
    statement["Effect"] = args.get("effect") or "Allow"
    statement |= {element: _few(args[name]) for name, element in ELEMENTS.items() if args.get(name)}
    for name, element in PRINCIPALS.items():
        if args.get(name):
            statement[element] = _principals(args[name])
    conditions: dict[str, dict[str, Any]] = {}
    for condition in args.get("conditions") or []:
        conditions.setdefault(condition["test"], {})[condition["variable"]] = _few(condition["values"])
    return {**statement, "Condition": conditions} if conditions else statement


def _principals(principals: list[Properties]) -> Any:
    found: dict[str, list[str]] = {}
    for principal in principals:
        found.setdefault(principal["type"], []).extend(principal["identifiers"])
    if found == {"*": ["*"]}:
        return "*"
    return {kind: _few(identifiers) for kind, identifiers in found.items()}


def _few(values: list[str]) -> Any:
    """One value alone, several as a sorted list: AWS keeps no order."""
    return values[0] if len(values) == 1 else sorted(values)


def _merged(documents: Any, statements: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Statements with those of other documents added; one with the same `Sid` takes the other's place."""
    merged = list(statements)
    for document in documents or []:
        found = json.loads(document)["Statement"]
        for statement in found if isinstance(found, list) else [found]:
            sid = statement.get("Sid")
            same = [index for index, one in enumerate(merged) if sid and one.get("Sid") == sid]
            if same:
                merged[same[0]] = statement
            else:
                merged.append(statement)
    return merged
