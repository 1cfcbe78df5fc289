"""What Cloudflare's rules can speak of: fields and functions, with their types, plans and phases.

From the documentation alone; nothing of it was asked of a live account. What is in no list here is refused,
so a field that Cloudflare adds is added here first.

Sources: https://developers.cloudflare.com/ruleset-engine/rules-language/fields/reference/ and .../functions/
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from components.edge.shape import PlanName

PLANS: Final[tuple[PlanName, ...]] = ("free", "pro", "business", "enterprise")
"""Each has what those before it have."""


@dataclass(frozen=True)
class Array:
    """Values of one type, in order."""

    of: "Type"

    def __str__(self) -> str:
        return f"Array<{self.of}>"


@dataclass(frozen=True)
class Map:
    """Values of one type, by name."""

    of: "Type"

    def __str__(self) -> str:
        return f"Map<{self.of}>"


Type: TypeAlias = Literal["Boolean", "Integer", "String", "IP address"] | Array | Map

Where: TypeAlias = Literal["request", "rewrite", "response", "transform", "secure"]
"""Where a field or function is: in every request phase, only where requests or responses are rewritten,
where there is a response, in header transforms of either direction, in custom and rate limiting rules."""


@dataclass(frozen=True)
class Field:
    """Something that a request or its response has.

    Attributes:
        type: of its value.
        plan: the smallest that has it.
        where: in which phases it is.
    """

    type: Type
    plan: PlanName = "free"
    where: Where = "request"


@dataclass(frozen=True)
class Parameter:
    """What a function takes at one place.

    Attributes:
        types: any of these; `Array` of anything is written as the class.
        kind: `field` is no literal, `literal` is nothing else.
    """

    types: tuple[Type | type[Array] | type[Map], ...]
    kind: Literal["any", "field", "literal"] = "any"


@dataclass(frozen=True)
class Function:
    """What can be called.

    Attributes:
        parameters: in order; the last may repeat.
        returns: the type of the result; None is the type of the first argument.
        optional: how many of the last parameters may be left out.
        repeats: whether the last parameter may be given more often.
        plan: the smallest that has it.
        where: in which phases it is.
    """

    parameters: tuple[Parameter, ...]
    returns: Type | None
    optional: int = 0
    repeats: bool = False
    plan: PlanName = "free"
    where: Where = "request"


TEXTS: Final = Array("String")
BY_NAME: Final = Map(TEXTS)


def _fields(
    type_: Type, names: str, plan: PlanName = "free", where: Where = "request", prefix: str = ""
) -> dict[str, Field]:
    return {prefix + name: Field(type_, plan, where) for name in names.split()}


_URI: Final = (
    _fields("String", "full_uri uri uri.path uri.path.extension uri.query")
    | _fields(BY_NAME, "uri.args")
    | _fields(TEXTS, "uri.args.names uri.args.values")
)
_CERTIFICATE: Final = (
    "issuer_dn subject_dn issuer_dn_rfc2253 subject_dn_rfc2253 issuer_dn_legacy subject_dn_legacy serial"
    " issuer_serial fingerprint_sha256 fingerprint_sha1 not_before not_after ski issuer_ski rfc9440"
    " chain_rfc9440"
)

FIELDS: Final[Mapping[str, Field]] = (
    _fields("String", "http.cookie http.host http.referer http.user_agent http.x_forwarded_for")
    | _fields("String", "http.request.method http.request.version http.request.body.mime")
    | {f"http.request.{name}": field for name, field in _URI.items()}
    | {f"raw.http.request.{name}": field for name, field in _URI.items()}
    | _fields(BY_NAME, "http.request.cookies", "pro")
    | _fields("Integer", "http.request.timestamp.sec http.request.timestamp.msec")
    | _fields(BY_NAME, "http.request.headers")
    | _fields(TEXTS, "http.request.headers.names http.request.headers.values")
    | _fields("Boolean", "http.request.headers.truncated ssl")
    | _fields(TEXTS, "http.request.accepted_languages", where="rewrite")
    | _fields("String", "raw", "enterprise", prefix="http.request.body.")
    | _fields("Boolean", "truncated", "enterprise", prefix="http.request.body.")
    | _fields("Integer", "size", "enterprise", prefix="http.request.body.")
    | _fields(BY_NAME, "form multipart", "enterprise", prefix="http.request.body.")
    | _fields(TEXTS, "form.names form.values multipart.values", "enterprise", prefix="http.request.body.")
    | _fields(
        Array(TEXTS),
        "names content_types content_dispositions content_transfer_encodings filenames",
        "enterprise",
        prefix="http.request.body.multipart.",
    )
    | _fields("IP address", "ip.src cf.edge.server_ip")
    | _fields("String", "lat lon city postal_code metro_code region region_code", prefix="ip.src.")
    | _fields("String", "ip.src.continent ip.src.country ip.geoip.continent ip.geoip.country")
    | _fields("String", "ip.src.timezone.name", where="rewrite")
    | _fields("Integer", "ip.src.asnum ip.geoip.asnum")
    | _fields("String", "subdivision_1_iso_code subdivision_2_iso_code", "business", prefix="ip.src.")
    | _fields("String", "subdivision_1_iso_code subdivision_2_iso_code", "business", prefix="ip.geoip.")
    | _fields("Boolean", "ip.src.is_in_european_union ip.geoip.is_in_european_union", "business")
    | _fields("Boolean", "cf.client.bot cf.edge.client_tcp")
    | _fields("String", "cf.verified_bot_category cf.ray_id cf.hostname.metadata cf.worker.upstream_zone")
    | _fields("String", "cf.random_seed", where="rewrite")
    | _fields("Integer", "cf.threat_score cf.edge.server_port cf.edge.l4.delivery_rate")
    | _fields("Integer", "client_tcp_rtt_msec client_quic_rtt_msec edge_msec", prefix="cf.timings.")
    | _fields("Integer", "cf.timings.origin_ttfb_msec cf.timings.worker_msec", where="response")
    | _fields("String", "cf.tls_cipher cf.tls_version cf.tls_client_random cf.tls_ciphers_sha1")
    | _fields("String", "cf.tls_client_extensions_sha1 cf.tls_client_extensions_sha1_le")
    | _fields("Integer", "cf.tls_client_hello_length")
    | _fields(
        "Boolean",
        "revoked verified presented rfc9440_too_large chain_rfc9440_too_large",
        prefix="cf.tls_client_auth.cert_",
    )
    | _fields("String", _CERTIFICATE, prefix="cf.tls_client_auth.cert_")
    | _fields("Integer", "score", "enterprise", prefix="cf.bot_management.")
    | _fields(
        "Boolean",
        "verified_bot static_resource js_detection.passed corporate_proxy signed_agent",
        "enterprise",
        prefix="cf.bot_management.",
    )
    | _fields("String", "ja3_hash ja4", "enterprise", prefix="cf.bot_management.")
    | _fields(Array("Integer"), "cf.bot_management.detection_ids", "enterprise")
    | _fields("Integer", "score score.sqli score.xss score.rce", "enterprise", prefix="cf.waf.")
    | _fields("String", "cf.waf.score.class", "business")
    | _fields("Boolean", "cf.waf.credential_check.password_leaked")
    | _fields("Boolean", "cf.waf.credential_check.username_and_password_leaked", "pro")
    | _fields(
        "Boolean",
        "username_leaked username_password_similar",
        "enterprise",
        prefix="cf.waf.credential_check.",
    )
    | _fields("Boolean", "cf.waf.auth_detected", "enterprise")
    | _fields("Boolean", "has_obj has_malicious_obj has_failed", "enterprise", prefix="cf.waf.content_scan.")
    | _fields("Integer", "num_obj num_malicious_obj", "enterprise", prefix="cf.waf.content_scan.")
    | _fields(TEXTS, "obj_types obj_results", "enterprise", prefix="cf.waf.content_scan.")
    | _fields(Array("Integer"), "cf.waf.content_scan.obj_sizes", "enterprise")
    | _fields("Integer", "http.response.code cf.response.1xxx_code", where="response")
    | _fields("String", "http.response.content_type.media_type cf.response.error_type", where="response")
    | _fields(BY_NAME, "http.response.headers raw.http.response.headers", where="response")
    | _fields(TEXTS, "http.response.headers.names http.response.headers.values", where="response")
    | _fields(TEXTS, "raw.http.response.headers.names raw.http.response.headers.values", where="response")
)
"""Left out: what only a Worker's zone, an API gateway, a language model's guard or a token check fills."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _taking(*parameters: Parameter) -> tuple[Parameter, ...]:
    return parameters


_TEXT: Final = Parameter(("String",))
_TEXT_FIELD: Final = Parameter(("String",), "field")
_TEXT_LITERAL: Final = Parameter(("String",), "literal")
_NUMBER: Final = Parameter(("Integer",))
_NUMBER_LITERAL: Final = Parameter(("Integer",), "literal")
_ADDRESS_FIELD: Final = Parameter(("IP address",), "field")
_FLAGS: Final = Parameter((Array("Boolean"),), "field")
_KEY: Final = Parameter(("String", "Integer"))

FUNCTIONS: Final[Mapping[str, Function]] = {
    "all": Function(_taking(_FLAGS), "Boolean"),
    "any": Function(_taking(_FLAGS), "Boolean"),
    "cidr": Function(_taking(_ADDRESS_FIELD, _NUMBER_LITERAL, _NUMBER_LITERAL), "IP address", where="secure"),
    "cidr6": Function(_taking(_ADDRESS_FIELD, _NUMBER_LITERAL), "IP address", where="secure"),
    "concat": Function(_taking(Parameter(("String", Array))), None, repeats=True),
    "decode_base64": Function(_taking(_TEXT_FIELD), "String", where="secure"),
    "encode_base64": Function(_taking(_TEXT, _TEXT_LITERAL), "String", optional=1, where="transform"),
    "ends_with": Function(_taking(_TEXT_FIELD, _TEXT_LITERAL), "Boolean"),
    "has_key": Function(_taking(Parameter((Map,), "field"), _TEXT), "Boolean"),
    "has_value": Function(_taking(Parameter((Map, Array), "field"), _KEY), "Boolean"),
    "is_timed_hmac_valid_v0": Function(
        _taking(_TEXT_LITERAL, _TEXT, _NUMBER_LITERAL, _NUMBER, _NUMBER_LITERAL, _TEXT_LITERAL),
        "Boolean",
        optional=2,
        plan="pro",
    ),
    "join": Function(_taking(Parameter((TEXTS,), "field"), _TEXT), "String"),
    "len": Function(_taking(Parameter(("String", Array), "field")), "Integer"),
    "lookup_json_integer": Function(_taking(_TEXT_FIELD, _KEY), "Integer", repeats=True),
    "lookup_json_string": Function(_taking(_TEXT_FIELD, _KEY), "String", repeats=True),
    "lower": Function(_taking(_TEXT_FIELD), "String"),
    "regex_replace": Function(_taking(_TEXT, _TEXT_LITERAL, _TEXT_LITERAL), "String", where="rewrite"),
    "remove_bytes": Function(_taking(_TEXT_FIELD, _TEXT_LITERAL), "String"),
    "remove_query_args": Function(
        _taking(_TEXT_FIELD, _TEXT_LITERAL), "String", repeats=True, where="rewrite"
    ),
    "split": Function(_taking(_TEXT, _TEXT_LITERAL, _NUMBER_LITERAL), TEXTS, where="response"),
    "starts_with": Function(_taking(_TEXT_FIELD, _TEXT_LITERAL), "Boolean"),
    "substring": Function(_taking(_TEXT_FIELD, _NUMBER, _NUMBER), "String", optional=1),
    "to_string": Function(
        _taking(Parameter(("Integer", "Boolean", "IP address"))), "String", where="rewrite"
    ),
    "upper": Function(_taking(_TEXT_FIELD), "String"),
    "url_decode": Function(_taking(_TEXT_FIELD, _TEXT_LITERAL), "String", optional=1),
    "uuidv4": Function(_taking(_TEXT_FIELD), "String", where="rewrite"),
    "wildcard_replace": Function(
        _taking(_TEXT_FIELD, _TEXT_LITERAL, _TEXT_LITERAL, _TEXT_LITERAL),
        "String",
        optional=1,
        where="rewrite",
    ),
}

PHASES: Final[Mapping[str, frozenset[Where]]] = {
    "ddos_l7": frozenset({"request"}),
    "http_config_settings": frozenset({"request"}),
    "http_custom_errors": frozenset({"request", "response"}),
    "http_ratelimit": frozenset({"request", "secure"}),
    "http_request_cache_settings": frozenset({"request"}),
    "http_request_dynamic_redirect": frozenset({"request", "rewrite"}),
    "http_request_firewall_custom": frozenset({"request", "secure"}),
    "http_request_firewall_managed": frozenset({"request"}),
    "http_request_late_transform": frozenset({"request", "rewrite", "transform", "secure"}),
    "http_request_origin": frozenset({"request"}),
    "http_request_transform": frozenset({"request", "rewrite", "secure"}),
    "http_response_headers_transform": frozenset({"request", "rewrite", "transform", "secure", "response"}),
}
"""A phase -> what can be spoken of in it."""

_RATE_FREE: Final = frozenset({"http.request.uri.path", "cf.client.bot"})
_RATE_PRO: Final = _RATE_FREE | {
    *("http.host", "http.request.uri", "http.request.full_uri", "http.request.uri.query"),
}
_RATE_BUSINESS: Final = _RATE_PRO | {"http.request.method", "ip.src", "http.user_agent"}

NARROW: Final[Mapping[tuple[str, PlanName], frozenset[str]]] = {
    ("http_ratelimit", "free"): _RATE_FREE,
    ("http_ratelimit", "pro"): _RATE_PRO,
    ("http_ratelimit", "business"): _RATE_BUSINESS,
}
"""Phase and plan -> the only fields, where not all of them.

Source: https://developers.cloudflare.com/waf/rate-limiting-rules/#availability
"""

DDOS: Final = _words(
    "cf.bot_management.ja3_hash cf.bot_management.ja4 cf.client.bot cf.threat_score cf.tls_cipher"
    " cf.tls_client_auth.cert_verified cf.tls_version cf.verified_bot_category http.cookie http.host"
    " http.referer http.request.headers http.request.headers.names http.request.headers.truncated"
    " http.request.headers.values http.request.uri http.request.uri.path http.request.uri.path.extension"
    " http.request.uri.query http.request.full_uri http.request.method http.request.version"
    " http.request.cookies http.user_agent http.x_forwarded_for ip.geoip.asnum ip.geoip.continent"
    " ip.geoip.country ip.geoip.is_in_european_union ip.src ip.src.asnum ip.src.continent ip.src.country"
    " ip.src.is_in_european_union ssl"
)
"""The only fields of an override of the HTTP DDoS rules.

Source: https://developers.cloudflare.com/ddos-protection/managed-rulesets/http/override-expressions/
"""


@dataclass(frozen=True)
class Scope:
    """Where an expression stands: what it may speak of follows.

    Attributes:
        phase: of the rule; one of `PHASES`.
        plan: of the zone.
    """

    phase: str
    plan: PlanName

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ValueError(f"no phase {self.phase}: {', '.join(PHASES)}")

    def has_plan(self, plan: PlanName) -> bool:
        """Whether the zone's plan is this one or a greater one."""
        return PLANS.index(self.plan) >= PLANS.index(plan)

    def fields(self) -> Mapping[str, Field]:
        """The fields that there are."""
        narrow = DDOS if self.phase == "ddos_l7" else NARROW.get((self.phase, self.plan))
        return {
            name: field
            for name, field in FIELDS.items()
            if self._has(field) and (narrow is None or name in narrow)
        }

    def functions(self) -> Mapping[str, Function]:
        """The functions that there are."""
        return {name: function for name, function in FUNCTIONS.items() if self._has(function)}

    def lacks(self, name: str, found: Field | Function, valid: Iterable[str]) -> str:
        """Why a known field or function is not here, and what is."""
        if not self.has_plan(found.plan):
            return f"{name} needs the plan {found.plan}, this zone's is {self.plan}"
        few = sorted(valid)
        there = f": there are only {', '.join(few)}" if len(few) <= 10 else ""
        return f"{name} is not in {self.phase} on the plan {self.plan}{there}"

    def _has(self, found: Field | Function) -> bool:
        return found.where in PHASES[self.phase] and self.has_plan(found.plan)
