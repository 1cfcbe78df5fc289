"""Serve policies through ``pulumi_policy``: the only module that knows how the engine hands them resources.

Three things differ from handing a validator to the SDK as it is:

- Properties become plain data first, one at a time. The SDK's proxies raise `UnknownValueError` at the
  first unknown value that is read, which would end the policy there: a privileged container after an
  unknown image would go unseen, and in a stack policy every later resource.
- What can't be decided yet is said, after everything that can. Raising `UnknownValueError` at the end makes
  the SDK append an advisory diagnostic, whatever the policy's own level: it is the one way to report below
  that level from inside a policy, and what has been reported before stays reported.
- A fault of the pack itself is a violation that says so. The SDK lets other exceptions escape into gRPC,
  where the engine shows a traceback without the policy's name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pulumi_policy as sdk
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from baseline.model import UNKNOWN, Policy, Resource, ResourcePolicy, StackPolicy, Value, Violation
from baseline.tree import MalformedError


class UndecidedError(UnknownValueError):
    """Some properties are known only after the update: the policy has neither passed nor failed on them."""

    def __init__(self, undecided: Sequence[str]) -> None:
        # The base class describes one property by its sentinel; the message alone reaches the engine.
        super().__init__(UNKNOWN_STRING_VALUE, [])
        self.message = f"undecided until the update: {'; '.join(undecided)}"


def as_pulumi_policy(policy: Policy) -> sdk.Policy:
    """Turn a policy into the SDK's.

    Args:
        policy: A policy of the baseline.

    Returns:
        What `pulumi_policy.PolicyPack` takes.

    Raises:
        TypeError: The policy is of a class that has no counterpart.
    """
    match policy:
        case ResourcePolicy():
            return sdk.ResourceValidationPolicy(validate=_resource_validation(policy), **_fields(policy))
        case StackPolicy():
            return sdk.StackValidationPolicy(validate=_stack_validation(policy), **_fields(policy))
    raise TypeError(f"{policy.name} is neither a resource policy nor a stack policy")


def _fields(policy: Policy) -> dict[str, Any]:
    framework = policy.framework
    return {
        "name": policy.name,
        "description": policy.description,
        "enforcement_level": policy.level,
        "severity": policy.severity,
        "framework": sdk.PolicyComplianceFramework(
            name=framework.name, version=framework.version, reference=framework.reference
        ),
        "tags": list(policy.anchors),
        "remediation_steps": policy.remedy,
        "url": framework.url,
    }


def _resource_validation(policy: ResourcePolicy) -> sdk.ResourceValidation:
    def validate(args: sdk.ResourceValidationArgs, report: sdk.ReportViolation) -> None:
        if not policy.applies_to(args.resource_type):
            args.not_applicable(f"{policy.name} does not concern {args.resource_type}")

        def findings() -> Iterator[Violation]:
            resource = to_resource(args)
            try:
                for violation in policy.evaluate(resource):
                    yield replace(violation, resource=resource)
            except MalformedError as error:
                yield replace(error.violation, resource=resource)

        _report_all(policy, findings(), args.name, report)

    return validate


def _stack_validation(policy: StackPolicy) -> sdk.StackValidation:
    def validate(args: sdk.StackValidationArgs, report: sdk.ReportViolation) -> None:
        selected = [one for one in args.resources if policy.applies_to(one.resource_type)]
        if not selected:
            args.not_applicable(f"the stack has no resource that concerns {policy.name}")

        def findings() -> Iterator[Violation]:
            yield from policy.check([to_resource(one) for one in selected])

        _report_all(policy, findings(), "the stack", report)

    return validate


def _report_all(
    policy: Policy, findings: Iterator[Violation], subject: str, report: sdk.ReportViolation
) -> None:
    """Report what a policy finds, each violation as soon as it is found.

    Args:
        policy: The policy.
        findings: Its findings, not begun: whatever goes wrong goes wrong in here.
        subject: What is validated, for a fault of the pack.
        report: The SDK's callback.

    Raises:
        UndecidedError: Some findings rest on unknown values; everything else has been reported.
    """
    undecided: list[str] = []
    try:
        for violation in findings:
            if violation.undecided:
                undecided.append(violation.where)
            else:
                report(policy.message(violation), violation.resource.urn if violation.resource else None)
    except MalformedError as error:
        # Only a stack policy gets here: it reads many resources, and which one it was the path can't say.
        report(policy.message(error.violation), None)
    except Exception as error:  # a policy that broke has not passed, whatever broke it
        report(
            f"{policy.name} could not check {subject}: {type(error).__name__}: {error}.\n"
            "Remedy: this is a fault of the policy pack, not of the resource; report it with this message.",
            None,
        )
    if undecided:
        raise UndecidedError(undecided)


def to_resource(source: sdk.ResourceValidationArgs | sdk.PolicyResource) -> Resource:
    """Copy what the SDK knows of a resource into plain data.

    Args:
        source: A resource policy's arguments, or one resource of a stack policy's.

    Returns:
        The resource.
    """
    properties = {str(key): _read(source.props, key) for key in source.props}
    return Resource(source.resource_type, source.name, source.urn, properties)


def to_plain(value: object) -> Value:
    """Copy a property into plain data. Whole numbers become int: the wire has only floats.

    Args:
        value: A scalar, a mapping or a sequence, such as the SDK's proxies, or an asset or archive.

    Returns:
        The same in built-in types, with `UNKNOWN` for each unknown value; of an asset only its class.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return int(value) if value.is_integer() else value
        case Mapping():
            return {str(key): _read(value, key) for key in value}
        case Sequence():
            return [_read(value, index) for index in range(len(value))]
    return f"<{type(value).__name__}>"


def _read(container: Any, key: object) -> Value:
    try:
        value = container[key]
    except UnknownValueError:
        return UNKNOWN
    return to_plain(value)
