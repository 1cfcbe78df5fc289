"""The simulated cloudflare provider: ids as the real one's, and the collisions that its API refuses."""
# ruff: noqa: ARG002 - the core's hooks

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from simulator.providers.cloudflare_rules import refused
from simulator.providers.core import Provider, ProviderError, Resource
from simulator.providers.differ import Change
from simulator.providers.invention import invented
from simulator.providers.typecheck import Failure
from simulator.providers.values import Properties, digest, get, reveal, text

IPV4_RANGES: Final = (
    "173.245.48.0/20",
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "141.101.64.0/18",
    "108.162.192.0/18",
    "190.93.240.0/20",
    "188.114.96.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "162.158.0.0/15",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "172.64.0.0/13",
    "131.0.72.0/22",
)
IPV6_RANGES: Final = (
    "2400:cb00::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2405:b500::/32",
    "2405:8100::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
)
NAME_SERVERS: Final = ("ada.ns.cloudflare.com", "bob.ns.cloudflare.com")
ACCOUNT: Final = {"id": "0" * 32, "name": "simulated"}

FORCES_NEW: Final[Mapping[str, frozenset[str]]] = {
    "AuthenticatedOriginPullsCertificate": frozenset({"certificate", "privateKey"}),
    "CertificatePack": frozenset(
        {"certificateAuthority", "hosts", "type", "validationMethod", "validityDays"}
    ),
    "OriginCaCertificate": frozenset({"csr", "hostnames", "requestType", "requestedValidity"}),
    "Ruleset": frozenset({"kind", "phase"}),
    "Zone": frozenset({"name"}),
    "ZoneSetting": frozenset({"settingId"}),
}
FORCES_NEW_ANYWHERE: Final = frozenset({"accountId", "zoneId"})

ONE_PER_ZONE: Final = frozenset(
    {
        "ArgoSmartRouting",
        "ArgoTieredCaching",
        "AuthenticatedOriginPullsSettings",
        "BotManagement",
        "LeakedCredentialCheck",
        "ManagedTransforms",
        "TieredCache",
        "TotalTls",
        "UniversalSslSetting",
        "UrlNormalizationSettings",
        "ZoneCacheReserve",
        "ZoneDnssec",
    }
)
"""Settings of a zone: their id is the zone's."""

ORIGIN_CA_DAYS: Final = (7, 30, 90, 365, 730, 1095, 5475)
"""How long an Origin CA certificate may live; the longest is the default."""


class Cloudflare(Provider):
    """The provider of the `cloudflare` package."""

    package: ClassVar[str] = "cloudflare"

    def refuse(
        self, resource: Resource, olds: Properties, inputs: Properties, found: Iterable[Failure]
    ) -> Iterator[Failure]:
        """Refuse what the API would, and a validity that the Origin CA does not sell."""
        if not list(found):  # Of what has the wrong type, the API says nothing more.
            yield from refused(_kind(resource), inputs)
        if _kind(resource) != "OriginCaCertificate":
            return
        days = get(inputs, "requestedValidity")
        if isinstance(days, int | float) and days not in ORIGIN_CA_DAYS:
            valid = ", ".join(str(each) for each in ORIGIN_CA_DAYS)
            yield Failure("requestedValidity", f"expected one of {valid}, found {days}")

    def forces_replacement(
        self, resource: Resource, change: Change, olds: Properties, news: Properties
    ) -> bool:
        """Whether Cloudflare has no way to change the property."""
        names = FORCES_NEW.get(_kind(resource), frozenset())
        return change.keys[0] in FORCES_NEW_ANYWHERE or change.keys[0] in names

    def identity(self, resource: Resource, inputs: Properties) -> str | None:
        """The id, where it follows from what the resource is."""
        kind = _kind(resource)
        if kind in ONE_PER_ZONE:
            return text(inputs, "zoneId")
        if kind == "ZoneSetting":
            return text(inputs, "settingId")
        if kind == "Ruleset":
            # One ruleset for a phase: a second one gets the same id, so it is refused.
            owner = text(inputs, "zoneId") or text(inputs, "accountId")
            custom = text(inputs, "name") if text(inputs, "kind") == "custom" else ""
            return digest("ruleset", owner, text(inputs, "phase"), custom, length=32)
        if kind == "Zone":
            return digest("zone", text(inputs, "name"), length=32)
        return None

    def slot(self, resource: Resource, resource_id: str, properties: Properties) -> str:
        """A setting's id is unique only in its zone. An id to import names the zone before a slash."""
        if _kind(resource) == "ZoneSetting":
            zone = text(properties, "zoneId")
            return f"{zone}/{resource_id}" if zone else resource_id
        return resource_id.rpartition("/")[2]

    def read(
        self, resource: Resource, resource_id: str, old_inputs: Properties, old_state: Properties
    ) -> tuple[str, Properties, Properties]:
        """What Cloudflare holds; the id of an import loses the zone before its last slash."""
        found, inputs, outputs = super().read(resource, resource_id, old_inputs, old_state)
        return found.rpartition("/")[2], inputs, outputs

    def admit(self, resource: Resource, inputs: Properties) -> None:
        """Refuse a DNS record that is there already."""
        if _kind(resource) != "DnsRecord":
            return
        wanted = _record(inputs)
        for record in self.store.records(self.collection(resource.type)):
            found = _record(record.inputs)
            if found[:2] != wanted[:2]:
                continue
            if found == wanted:
                raise ProviderError(f"an identical DNS record already exists: {' '.join(wanted[1:])}")
            if "CNAME" in (found[2], wanted[2]):
                raise ProviderError(
                    f"a {found[2]} record already exists for {wanted[1]}: a CNAME stands alone"
                )

    def already_exists(self, resource: Resource, resource_id: str) -> str:
        """Cloudflare's refusal of a second one."""
        if _kind(resource) == "Ruleset":
            return "a ruleset of this phase already exists in the zone: add the rules to it, or import it"
        return super().already_exists(resource, resource_id)

    def computed(
        self, resource: Resource, resource_id: str, inputs: Properties, previous: Properties
    ) -> Properties:
        """Times, versions and whatever else only Cloudflare fills."""
        outputs = invented(self.resource_class(resource), f"{resource.urn}|{resource_id}", inputs) | previous
        kind = _kind(resource)
        if kind == "Ruleset":
            outputs["version"] = str(int(previous.get("version", "0")) + 1)
        elif kind == "DnsRecord":
            outputs |= {"proxiable": get(inputs, "type") in ("A", "AAAA", "CNAME")}
        elif kind == "Zone":
            outputs |= {"nameServers": list(NAME_SERVERS), "status": "active"}
        elif kind == "OriginCaCertificate" and not previous:
            outputs |= _sign(reveal(inputs))
        return outputs

    def invoke(self, token: str, args: Properties) -> Properties:
        """Answer what a program asks about Cloudflare's addresses and a zone."""
        if token == "cloudflare:index/getIpRanges:getIpRanges":  # noqa: S105 - a type token
            return {
                "etag": digest("ranges", length=32),
                "ipv4Cidrs": list(IPV4_RANGES),
                "ipv6Cidrs": list(IPV6_RANGES),
                "jdcloudCidrs": [],
            }
        if token == "cloudflare:index/getZone:getZone":  # noqa: S105 - a type token
            plain = reveal(args)
            name = get(plain, "filter", "name") or "example.com"
            zone = text(plain, "zoneId") or digest("zone", name, length=32)
            return {
                "account": dict(ACCOUNT),
                "id": zone,
                "name": name,
                "nameServers": list(NAME_SERVERS),
                "paused": False,
                "status": "active",
                "type": "full",
                "zoneId": zone,
            }
        return super().invoke(token, args)


def _kind(resource: Resource) -> str:
    return resource.type.rpartition(":")[2]


def _record(inputs: Properties) -> tuple[str, ...]:
    """A DNS record's zone, name, type and content."""
    data = get(inputs, "data")
    content = text(inputs, "content") or (str(sorted(data.items())) if isinstance(data, dict) else "")
    return (text(inputs, "zoneId"), text(inputs, "name"), text(inputs, "type"), content)


def _sign(inputs: Properties) -> Properties:
    """A real certificate for a signing request, by an authority that exists for this one moment.

    As with the real one, the names are those of the inputs: what the request says of them is not read.
    The form of the date is what the API answers (terraform-provider-cloudflare #5392).
    """
    try:
        request = x509.load_pem_x509_csr(inputs["csr"].encode())
    except ValueError:
        raise ProviderError("the certificate signing request could not be parsed") from None
    days = inputs.get("requestedValidity") or max(ORIGIN_CA_DAYS)
    start = datetime.now(UTC).replace(microsecond=0)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CloudFlare Origin Certificate")])
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SIMULATED Origin CA")])
    names = x509.SubjectAlternativeName([x509.DNSName(name) for name in inputs["hostnames"]])
    certificate = (
        x509.CertificateBuilder(issuer, subject, request.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(names, critical=False)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return {
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "expiresOn": f"{start + timedelta(days=days):%Y-%m-%d %H:%M:%S} +0000 UTC",
        "requestedValidity": days,
    }
