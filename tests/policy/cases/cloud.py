"""Cases of the policies about AWS identities and Cloudflare."""

from baseline.model import UNKNOWN, Resource, Value
from tests.policy.cases.builders import ABSENT, Block, Case, Kind, cases, edited, resource
from tests.policy.cases.s3 import document

PASS, FAIL, MISSING, UNKNOWN_VALUE, _, _, _ = Kind

POLICY = "aws:iam/policy:Policy"
ALLOW: Block = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::shop-backups/*"}


def allowing(**statement: Value) -> tuple[Resource, ...]:
    """A policy with one statement, that is right but for what is given."""
    return (resource(POLICY, {"policy": document({**ALLOW, **statement})}),)


AT = "policy: Statement[0]"
PRIVILEGE = cases(
    "iam-least-privilege",
    (PASS, "by name", allowing(), {}),
    (PASS, "what has no resource", allowing(Action="ecr:GetAuthorizationToken", Resource="*"), {}),
    (PASS, "a denial of everything", allowing(Effect="Deny", Action="*", Resource="*"), {}),
    (FAIL, "every action", allowing(Action="*"), {f"{AT}.Action": "*"}),
    (FAIL, "every action of a service", allowing(Action=["s3:*"]), {f"{AT}.Action": "s3:*"}),
    (FAIL, "every resource", allowing(Resource="*"), {f"{AT}.Resource": "*"}),
    (FAIL, "all but one", allowing(NotAction="iam:*"), {f"{AT}.NotAction": "an Allow with NotAction"}),
    (
        FAIL,
        "the administrators' policy",
        (
            resource(
                "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
                {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            ),
        ),
        {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    ),
    (
        FAIL,
        "in a role",
        (
            resource(
                "aws:iam/role:Role", {"inlinePolicies": [{"policy": document({**ALLOW, "Action": "*"})}]}
            ),
        ),
        {"inlinePolicies[0].policy: Statement[0].Action": "*"},
    ),
    (MISSING, "the document", (resource(POLICY, {}),), {}),
    (UNKNOWN_VALUE, "the document", (resource(POLICY, {"policy": UNKNOWN}),), {"policy": UNKNOWN}),
)

OIDC = "arn:aws:iam::1:oidc-provider/oidc.example"
SUBJECT: Block = {"StringEquals": {"oidc.example:sub": "system:serviceaccount:data:backup"}}


def trusting(principal: Value, condition: Value = None) -> tuple[Resource, ...]:
    """A role that somebody may take."""
    statement: Block = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return (
        resource(
            "aws:iam/role:Role",
            {"assumeRolePolicy": document({**statement, **({"Condition": condition} if condition else {})})},
        ),
    )


HERE = "assumeRolePolicy: Statement[0]"
TRUST = cases(
    "iam-trust-scoped",
    (PASS, "a service", trusting({"Service": "ec2.amazonaws.com"}), {}),
    (PASS, "one subject", trusting({"Federated": OIDC}, SUBJECT), {}),
    (FAIL, "anybody", trusting("*"), {f"{HERE}.Principal": "*"}),
    (FAIL, "any account", trusting({"AWS": "*"}), {f"{HERE}.Principal": "*"}),
    (
        FAIL,
        "everybody of an account",
        trusting({"AWS": "arn:aws:iam::1:root"}),
        {f"{HERE}.Principal": "arn:aws:iam::1:root"},
    ),
    (
        FAIL,
        "any subject",
        trusting({"Federated": OIDC}, {"StringLike": {"oidc.example:sub": "system:*"}}),
        {f"{HERE}.Condition": "system:*"},
    ),
    (MISSING, "the condition", trusting({"Federated": OIDC}), {f"{HERE}.Condition": ABSENT}),
    (
        UNKNOWN_VALUE,
        "the document",
        (resource("aws:iam/role:Role", {"assumeRolePolicy": UNKNOWN}),),
        {"assumeRolePolicy": UNKNOWN},
    ),
)

ZONE = resource("cloudflare:index/zone:Zone", {"id": "z"}, "zone")
SETTING = "cloudflare:index/zoneSetting:ZoneSetting"
RULESET = "cloudflare:index/ruleset:Ruleset"
RECORD = "cloudflare:index/dnsRecord:DnsRecord"


def setting(name: str, value: Value, zone: Value = "z") -> Resource:
    """A setting of the zone."""
    return resource(SETTING, {"zoneId": zone, "settingId": name, "value": value}, name)


def zone_cases(policy: str, name: str, valid: Value, invalid: Value, *others: Resource) -> tuple[Case, ...]:
    """Cases of a policy that asks for one setting; others are there already."""
    absent: Block = {f'ZoneSetting["{name}"].value': ABSENT}
    linked = resource(
        SETTING, {"zoneId": UNKNOWN, "settingId": name, "value": valid}, name, links={"zoneId": (ZONE.urn,)}
    )
    return cases(
        policy,
        (PASS, "set", (ZONE, setting(name, valid), *others), {}),
        (
            PASS,
            "of a zone that is not made here",
            (
                setting(name, valid, "q"),
                *(resource(one.type, {**one.properties, "zoneId": "q"}) for one in others),
            ),
            {},
        ),
        (PASS, "by link", (ZONE, linked, *others), {}),
        (FAIL, "another value", (ZONE, setting(name, invalid), *others), {"value": invalid}),
        (
            FAIL,
            "of another zone",
            (
                ZONE,
                *others,
                setting(name, invalid, "q"),
                *(resource(one.type, {**one.properties, "zoneId": "q"}) for one in others),
            ),
            {**absent, "value": invalid},
        ),
        (MISSING, "the setting", (ZONE, *others), absent),
        (UNKNOWN_VALUE, "the value", (ZONE, setting(name, UNKNOWN), *others), {"value": UNKNOWN}),
        (
            UNKNOWN_VALUE,
            "of which zone",
            (ZONE, setting(name, valid, UNKNOWN), *others),
            dict.fromkeys(absent, UNKNOWN),
        ),
    )


HSTS: Block = {
    "strict_transport_security": {"enabled": True, "max_age": 31536000, "include_subdomains": True}
}
HEADER = setting("security_header", HSTS)
STS = "value.strict_transport_security"
EDGE = (
    *zone_cases("cf-ssl-strict", "ssl", "strict", "flexible"),
    *zone_cases("cf-min-tls-1-2", "min_tls_version", "1.2", "1.0"),
    *zone_cases("cf-https-hsts", "always_use_https", "on", "off", HEADER),
    *cases(
        "cf-https-hsts",
        (
            FAIL,
            "too short",
            (
                ZONE,
                setting("always_use_https", "on"),
                setting("security_header", edited(HSTS, {"strict_transport_security.max_age": 300})),
            ),
            {f"{STS}.max_age": 300},
        ),
        (
            PASS,
            "in camelCase",
            (
                ZONE,
                setting("always_use_https", "on"),
                setting(
                    "security_header",
                    {
                        "strictTransportSecurity": {
                            "enabled": True,
                            "maxAge": 31536000,
                            "includeSubdomains": True,
                        }
                    },
                ),
            ),
            {},
        ),
    ),
)


def ruleset(phase: Value, *rules: Value) -> tuple[Resource, ...]:
    """A zone with a ruleset of one phase."""
    return (ZONE, resource(RULESET, {"zoneId": "z", "phase": phase, "rules": list(rules)}, "rules"))


def ruleset_cases(policy: str, phase: str, rule: Block, other: Block) -> tuple[Case, ...]:
    """Cases of a policy that asks for a rule in a phase."""
    absent: Block = {f'Ruleset["{phase}"].rules': ABSENT}
    return cases(
        policy,
        (PASS, "a rule", ruleset(phase, rule), {}),
        (PASS, "beside others", ruleset(phase, other, {**rule, "enabled": True}), {}),
        (FAIL, "another rule", ruleset(phase, other), absent),
        (FAIL, "switched off", ruleset(phase, {**rule, "enabled": False}), absent),
        (FAIL, "of another phase", ruleset("http_request_cache_settings", rule), absent),
        (MISSING, "the ruleset", (ZONE,), absent),
        (UNKNOWN_VALUE, "the rule", ruleset(phase, UNKNOWN), dict.fromkeys(absent, UNKNOWN)),
        (UNKNOWN_VALUE, "the phase", ruleset(UNKNOWN, rule), dict.fromkeys(absent, UNKNOWN)),
    )


def record(**properties: Value) -> tuple[Resource, ...]:
    """A record of an address, that is right but for what is given."""
    return (resource(RECORD, {"name": "shop.example", "type": "A", "proxied": True, **properties}),)


RULES = (
    *ruleset_cases(
        "cf-waf-managed", "http_request_firewall_managed", {"action": "execute"}, {"action": "skip"}
    ),
    *ruleset_cases(
        "cf-rate-limit",
        "http_ratelimit",
        {"action": "block", "ratelimit": {"period": 60}},
        {"action": "block"},
    ),
    *cases(
        "cf-records-proxied",
        (PASS, "an address", record(), {}),
        (PASS, "no address", record(type="TXT", proxied=ABSENT), {}),
        (PASS, "a named exception", record(name="mail.shop.example", proxied=False), {}),
        (FAIL, "in the open", record(proxied=False), {"proxied": False}),
        (FAIL, "another name in the open", record(type="CNAME", proxied=False), {"proxied": False}),
        (MISSING, "false is the default", record(proxied=ABSENT), {"proxied": ABSENT}),
        (UNKNOWN_VALUE, "proxied", record(proxied=UNKNOWN), {"proxied": UNKNOWN}),
    ),
)

CASES: tuple[Case, ...] = (*PRIVILEGE, *TRUST, *EDGE, *RULES)
