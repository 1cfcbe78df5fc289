"""Serve policies through ``pulumi_policy``: the only module that knows how the engine hands them resources.

Four things differ from handing a validator to the SDK as it is:

- Properties become plain data first, one at a time. The SDK's proxies raise `UnknownValueError` at the
  first unknown value that is read, which would end the policy there: a privileged container after an
  unknown image would go unseen, and in a stack policy every later resource.
- What can't be decided yet is said, after everything that can. Raising `UnknownValueError` at the end makes
  the SDK append an advisory diagnostic, whatever the policy's own level: it is the one way to report below
  that level from inside a policy, and what has been reported before stays reported.
- What a stack has exempted is left out, but only once it was found: so the ledger knows what is needed.
- A fault of the pack itself is a violation that says so. The SDK lets other exceptions escape into gRPC,
  where the engine shows a traceback without the policy's name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import pulumi_policy as sdk
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from baseline.decoding import once
from baseline.exemptions import KEY, SCHEMA, Exemption, Ledger
from baseline.model import UNKNOWN, Policy, Resource, ResourcePolicy, StackPolicy, Value, Violation
from baseline.tree import MalformedError

AnyPolicy = TypeVar("AnyPolicy", bound=Policy)


class UndecidedError(UnknownValueError):
    """Some properties are known only after the update: the policy has neither passed nor failed on them."""

    def __init__(self, undecided: Sequence[str]) -> None:
        # The base class describes one property by its sentinel; the message alone reaches the engine.
        super().__init__(UNKNOWN_STRING_VALUE, [])
        self.message = f"undecided until the update: {'; '.join(undecided)}"


def as_pulumi_policies(policies: Iterable[Policy], ledger: Ledger) -> list[sdk.Policy]:
    """Turn policies into the SDK's.

    Args:
        policies: Policies of the baseline.
        ledger: Keeps the exemptions of one run.

    Returns:
        What `pulumi_policy.PolicyPack` takes: theirs, and `exemptions-current`, which must be the last.
    """
    return [*(as_pulumi_policy(policy, ledger) for policy in policies), _exemptions_current(ledger)]


def as_pulumi_policy(policy: Policy, ledger: Ledger) -> sdk.Policy:
    """Turn a policy into the SDK's.

    Args:
        policy: A policy of the baseline.
        ledger: Keeps the exemptions of one run.

    Returns:
        The SDK's policy.

    Raises:
        TypeError: The policy is of a class that has no counterpart.
    """
    match policy:
        case ResourcePolicy():
            return sdk.ResourceValidationPolicy(
                validate=_resource_validation(policy, ledger), **_fields(policy)
            )
        case StackPolicy():
            return sdk.StackValidationPolicy(validate=_stack_validation(policy, ledger), **_fields(policy))
    raise TypeError(f"{policy.name} is neither a resource policy nor a stack policy")


def configured(policy: AnyPolicy, config: Mapping[str, Any]) -> AnyPolicy:
    """Give a policy the options of a stack.

    Args:
        policy: The policy.
        config: Its configuration, as the engine hands it over.

    Returns:
        The policy with those options, and its defaults for the others.
    """
    given = {name: tuple(map(str, config[name])) for name in policy.options if name in config}
    return replace(policy, options={**policy.options, **given}) if given else policy


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
        "config_schema": sdk.PolicyConfigSchema(properties=config_schema(policy)),
    }


def config_schema(policy: Policy) -> dict[str, dict[str, Any]]:
    """Say what a stack may set for a policy, as JSON schema.

    Args:
        policy: The policy.

    Returns:
        The schema of each property.
    """
    texts = {"type": "array", "items": {"type": "string"}}
    return {
        KEY: SCHEMA,
        **{name: {**texts, "default": list(policy.options[name])} for name in policy.options},
    }


def _resource_validation(policy: ResourcePolicy, ledger: Ledger) -> sdk.ResourceValidation:
    def validate(args: sdk.ResourceValidationArgs, report: sdk.ReportViolation) -> None:
        config = args.get_config()
        counting = ledger.enter(policy.name, config.get(KEY))
        if not policy.applies_to(args.resource_type):
            args.not_applicable(f"{policy.name} does not concern {args.resource_type}")

        def findings() -> Iterator[Violation]:
            resource = to_resource(args)
            try:
                for violation in configured(policy, config).evaluate(resource):
                    yield replace(violation, resource=resource)
            except MalformedError as error:
                yield replace(error.violation, resource=resource)

        _report_all(policy, _without_exempt(findings(), counting, ledger), args.name, report)

    return validate


def _stack_validation(policy: StackPolicy, ledger: Ledger) -> sdk.StackValidation:
    def validate(args: sdk.StackValidationArgs, report: sdk.ReportViolation) -> None:
        config = args.get_config()
        counting = ledger.enter(policy.name, config.get(KEY))
        selected = [one for one in args.resources if policy.applies_to(one.resource_type)]
        if not selected:
            args.not_applicable(f"the stack has no resource that concerns {policy.name}")

        def findings() -> Iterator[Violation]:
            yield from configured(policy, config).evaluate([to_resource(one) for one in selected])

        _report_all(policy, _without_exempt(findings(), counting, ledger), "the stack", report)

    return validate


def _without_exempt(
    findings: Iterator[Violation], exemptions: Sequence[Exemption], ledger: Ledger
) -> Iterator[Violation]:
    for violation in findings:
        urn = violation.resource.urn if violation.resource else ""
        covering = [exemption for exemption in exemptions if exemption.covers(urn, violation.path)]
        for exemption in covering:
            ledger.needed(exemption)
        if not covering:
            yield violation


def _exemptions_current(ledger: Ledger) -> sdk.Policy:
    """Make the policy about exemptions. Being about the pack rather than resources, it is the SDK's alone."""

    def validate(_: sdk.StackValidationArgs, report: sdk.ReportViolation) -> None:
        for fault in ledger.faults():
            report(f"{fault}.\nRemedy: {EXEMPTIONS_REMEDY}", None)

    return sdk.StackValidationPolicy(
        name=EXEMPTIONS_CURRENT,
        description=EXEMPTIONS_DESCRIPTION,
        enforcement_level=sdk.EnforcementLevel.MANDATORY,
        severity=sdk.Severity.MEDIUM,
        remediation_steps=EXEMPTIONS_REMEDY,
        validate=validate,
    )


EXEMPTIONS_CURRENT: Final = "exemptions-current"
EXEMPTIONS_DESCRIPTION: Final = "Exemptions must say why and until when, be in date, and be needed."
EXEMPTIONS_REMEDY: Final = "Mend what was exempted and remove the exemption, or renew it with its reason."


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
    properties = _plain_properties(source.props)
    links: dict[str, tuple[str, ...]] = {}
    if isinstance(source, sdk.PolicyResource):
        links = {key: tuple(one.urn for one in ones) for key, ones in source.property_dependencies.items()}
    return Resource(
        source.resource_type, source.name, source.urn, properties, bool(source.opts.protect), links
    )


@once
def _plain_properties(props: Mapping[str, Any]) -> dict[str, Value]:
    return {str(key): _read(props, key) for key in props}


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
