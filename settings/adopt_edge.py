"""Takes over what a zone has already: the import file for `pulumi import`, and what to look at first.

`python -m settings.adopt_edge --stack production --listing zone.json` compares what the program would make to
a listing of the zone; without `--listing` it asks Cloudflare's API, with the token in `CLOUDFLARE_API_TOKEN`.
It changes nothing. The import file goes to standard output, all else to standard error; it ends with 1 where
something has to be settled by hand first, and with 2 where it could not read what it needs.

The order that never leaves the zone without protection:

1. `pulumi up --target <the component> --target <the provider>`: makes both, and nothing at Cloudflare;
2. `pulumi import --file adopt.json --generate-code=false --protect=false`: takes note, and changes nothing;
3. `pulumi preview`: what is adopted is updated, never created; read what the rulesets lose;
4. `pulumi up`: a ruleset is replaced as one, so the old rules hold until the new ones do.

Asking the API was never run against an account; a saved listing was.
"""

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from components.edge.cloudflare import RULESETS
from components.edge.dns import records
from components.edge.rulesets import rules_by_phase
from components.edge.zone import bot_settings, zone_settings
from settings.edge import Edge
from settings.edge_shape import shape_of, unproxied_of
from settings.load import SettingsError, parse
from settings.model import Settings

API: Final = "https://api.cloudflare.com/client/v4"
TIMEOUT_SECONDS: Final = 30
PROJECT: Final = "fixia"
UNREADABLE: Final = 2
STAND_IN: Final = "placeholder-for-a-credential"
"""What is read in the place of every credential: none is needed to compare."""

COMPONENT: Final = "edge"
PROVIDER: Final = "cloudflare"

Listing = Mapping[str, Sequence[Mapping[str, Any]]]
"""`dns_records`, `rulesets` (with their rules, if the listing has them), `healthchecks`, `policies`: what the
API answers as `result`."""


class UnreadableError(Exception):
    """The stack's file or the listing can't be read: where, what was found, what to do."""


@dataclass
class Adoption:
    """What there is to import, and what there is to know before.

    Attributes:
        resources: as `pulumi import --file` reads them.
        by_hand: what collides and can't be imported.
        replaced: what the first `pulumi up` after the import would change or lose.
    """

    resources: list[dict[str, str]] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)

    def add(self, kind: str, name: str, resource_id: str) -> None:
        """Adds one resource; its type is `cloudflare:index/<kind>:<Kind>`."""
        token = f"cloudflare:index/{kind}:{kind[0].upper()}{kind[1:]}"
        resource = {"type": token, "name": name, "id": resource_id, "parent": COMPONENT, "provider": PROVIDER}
        self.resources.append(resource)

    def file(self, stack: str) -> dict[str, Any]:
        """The import file.

        Args:
            stack: the stack's name.
        """
        urn = f"urn:pulumi:{stack}::{PROJECT}::"
        names = {
            COMPONENT: f"{urn}fixia:edge:CloudflareEdge::{COMPONENT}",
            PROVIDER: f"{urn}pulumi:providers:cloudflare::edge",
        }
        return {"nameTable": names, "resources": self.resources}


def adoption(settings: Settings, edge: Edge, listing: Listing) -> Adoption:
    """Compares what the program would make to what a zone has.

    Args:
        settings: the stack's.
        edge: its edge.
        listing: what the zone has.
    """
    found = Adoption()
    zone = edge.zone.id
    for name in zone_settings(subdomains=True, preload=False, under_attack=False):
        found.add("zoneSetting", f"{COMPONENT}-{name.replace('_', '-')}", f"{zone}/{name}")
    found.add("tieredCache", f"{COMPONENT}-tiered-cache", zone)
    found.add("urlNormalizationSettings", f"{COMPONENT}-paths", zone)
    if bot_settings(edge.plan) is not None:
        found.add("botManagement", f"{COMPONENT}-bots", zone)
    _records(settings, edge, listing, found)
    _rulesets(settings, edge, listing, found)
    _watched(settings, edge, listing, found)
    return found


def _records(settings: Settings, edge: Edge, listing: Listing, found: Adoption) -> None:
    zone = edge.zone.name
    there = {str(each["id"]): each for each in listing.get("dns_records", ())}
    for wanted in records(zone, sorted(shape_of(settings, edge).hosts), edge.origin, unproxied_of(edge)):
        named = {key: each for key, each in there.items() if each.get("name") == wanted.name}
        same_type = {key: each for key, each in named.items() if each.get("type") == wanted.type}
        exact = [key for key, each in same_type.items() if _content(each) == wanted.content.strip('"')]
        # Of a proxied host's addresses any may become the right one; a text or a mail host is itself only.
        chosen = exact or ([*same_type] if wanted.proxied else [])
        if chosen:
            record = there.pop(chosen[0])
            found.add("dnsRecord", f"{COMPONENT}-{wanted.role}", f"{edge.zone.id}/{chosen[0]}")
            if not exact:
                found.replaced.append(
                    f"{wanted.name} {wanted.type} {_content(record)} becomes {wanted.content}"
                )
        elif clash := [each for each in named.values() if "CNAME" in (each.get("type"), wanted.type)]:
            what = ", ".join(f"{each.get('type')} {_content(each)}" for each in clash)
            found.by_hand.append(
                f"{wanted.name}: there is {what}, and a CNAME stands alone. At Cloudflare, make it a proxied "
                f"{wanted.type} record with {wanted.content}, and list the zone again"
            )
    _left_over(settings, edge, there.values(), found)


def _left_over(settings: Settings, edge: Edge, there: Any, found: Adoption) -> None:
    """Records that would stay beside ours and lead around the edge."""
    hosts = set(shape_of(settings, edge).hosts)
    for each in there:
        what = f"{each.get('name')} {each.get('type')} {_content(each)}"
        if each.get("name") in hosts and each.get("type") in ("A", "AAAA", "CNAME"):
            found.by_hand.append(
                f"{what}: one address more than the settings know; delete it, or add it to origin"
            )
        elif not each.get("proxied") and _content(each) in edge.origin:
            found.by_hand.append(f"{what}: shows the origin to everybody; proxy it or point it elsewhere")


def _content(record: Mapping[str, Any]) -> str:
    return str(record.get("content", "")).strip('"')


def _rulesets(settings: Settings, edge: Edge, listing: Listing, found: Adoption) -> None:
    wanted = rules_by_phase(shape_of(settings, edge), edge.flood_sensitivity)
    for each in listing.get("rulesets", ()):
        phase = str(each.get("phase"))
        if each.get("kind") != "zone":
            continue  # Cloudflare's own, and the account's.
        if phase not in wanted:
            found.replaced.append(f"the ruleset of {phase} is not ours and stays as it is")
            continue
        found.add("ruleset", f"{COMPONENT}-{RULESETS[phase]}", f"zones/{edge.zone.id}/{each['id']}")
        ours = {rule.ref for rule in wanted[phase]}
        for rule in each.get("rules") or ():
            if rule.get("ref") not in ours:
                said = rule.get("description") or rule.get("expression") or rule.get("ref")
                found.replaced.append(f"the rule {said!r} ({rule.get('action')}) of {phase} goes")


def _watched(settings: Settings, edge: Edge, listing: Listing, found: Adoption) -> None:
    stack = settings.stack
    for each in listing.get("healthchecks", ()):
        if edge.health_check and each.get("name") == f"{stack.product}-{stack.environment}":
            found.add("healthcheck", f"{COMPONENT}-health", f"{edge.zone.id}/{each['id']}")
    for each in listing.get("policies", ()):
        found.replaced.append(f"the notification {each.get('name')!r} stays beside ours: delete it later")


def read_settings(file: Path) -> Settings:
    """A stack's settings with something in the place of each credential.

    Raises:
        UnreadableError: the file is missing or wrong.
    """
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UnreadableError(f"{file}: {error}\n  to do:  name a stack that has such a file") from None
    data = {
        key.removeprefix(f"{PROJECT}:"): value for key, value in config.items() if key.startswith(PROJECT)
    }
    for secret in data.get("secrets", {}).values():
        if not secret or "value" in secret:
            secret["value"] = STAND_IN
    raw = {key: json.dumps(value) for key, value in data.items()}
    try:
        return parse(raw, file=str(file), project=PROJECT, encrypted={"secrets"})
    except SettingsError as error:
        raise UnreadableError(str(error)) from None


def edge_of(file: Path) -> tuple[Settings, Edge]:
    """A stack's settings and its edge.

    Raises:
        UnreadableError: the file is wrong, or has no edge.
    """
    settings = read_settings(file)
    if settings.edge is None:
        raise UnreadableError(f"{file}: no section `edge`\n  to do:  name a stack that has one")
    return settings, settings.edge


def listed(edge: Edge, file: Path | None, token: str) -> Listing:
    """What the zone has: as somebody saved it, or as the API says.

    Raises:
        UnreadableError: neither is to be had.
    """
    if file is not None:
        return read_listing(file)
    if not token:
        valid = "--listing FILE (make: LISTING=FILE), or a token in CLOUDFLARE_API_TOKEN"
        raise UnreadableError(f"neither a listing nor a token\n  valid:  {valid}")
    return fetched(edge, token)


def read_listing(file: Path) -> Listing:
    """A listing that somebody saved.

    Raises:
        UnreadableError: it is missing, or no JSON mapping of lists.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableError(
            f"{file}: {error}\n  to do:  save it anew: docs/runbooks/leave-cloudflare.md"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(each, list) for each in found.values()):
        valid = "a mapping of dns_records, rulesets, healthchecks and policies to lists"
        raise UnreadableError(f"{file}: no listing\n  valid:  {valid}")
    return found


def fetched(edge: Edge, token: str) -> Listing:
    """What the zone has, asked of the API.

    Args:
        edge: which zone and account.
        token: it needs to read DNS, zone settings, rulesets, health checks and notifications.

    Raises:
        UnreadableError: Cloudflare does not answer, or refuses.
    """
    zone = f"/zones/{edge.zone.id}"
    rulesets = [
        _ask(f"{zone}/rulesets/{each['id']}", token)
        for each in _ask(f"{zone}/rulesets", token)
        if each.get("kind") == "zone"
    ]
    return {
        "dns_records": _ask(f"{zone}/dns_records?per_page=5000", token),
        "rulesets": rulesets,
        "healthchecks": _ask(f"{zone}/healthchecks", token) if edge.health_check else [],
        "policies": _ask(f"/accounts/{edge.account}/alerting/v3/policies", token),
    }


def _ask(path: str, token: str) -> Any:
    request = urllib.request.Request(f"{API}{path}", headers={"Authorization": f"Bearer {token}"})  # noqa: S310 https
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 https
            return json.load(answer)["result"]
    except urllib.error.HTTPError as error:
        said = error.read(2000).decode("utf-8", "replace")
        raise UnreadableError(
            f"{API}{path}: {error.code} {said}\n  to do:  check the token's rights"
        ) from None
    except (OSError, ValueError, KeyError) as error:
        raise UnreadableError(f"{API}{path}: {error}\n  to do:  try again, or use --listing") from None


def report(found: Adoption, stack: str) -> Iterator[str]:
    """What a person reads, line by line."""
    yield f"{stack}: {len(found.resources)} resources to import"
    for heading, lines in (("to settle by hand first", found.by_hand), ("the first update", found.replaced)):
        if lines:
            yield f"  {heading}:"
            yield from (f"    {line}" for line in lines)
    names = found.file(stack)["nameTable"]
    yield "  then, in this order:"
    yield f"    pulumi up --stack {stack} --target '{names[COMPONENT]}' --target '{names[PROVIDER]}'"
    yield f"    pulumi import --stack {stack} --file adopt.json --generate-code=false --protect=false"
    yield f"    pulumi preview --stack {stack}    # adopted resources are updated, none of them created"
    yield f"    pulumi up --stack {stack}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the module.

    Args:
        arguments: without the program's name.
    """
    parser = argparse.ArgumentParser(prog="adopt_edge", description="The import file for an existing zone.")
    parser.add_argument("--stack", required=True)
    parser.add_argument("--listing", type=Path, help="JSON that was saved; else the API is asked")
    options = parser.parse_args(arguments)
    try:
        settings, edge = edge_of(Path(f"Pulumi.{options.stack}.yaml"))
        listing = listed(edge, options.listing, os.environ.get("CLOUDFLARE_API_TOKEN", ""))
    except UnreadableError as error:
        sys.stderr.write(f"error: {error}\n")
        return UNREADABLE
    found = adoption(settings, edge, listing)
    sys.stdout.write(json.dumps(found.file(options.stack), indent=2) + "\n")
    sys.stderr.write("\n".join(report(found, options.stack)) + "\n")
    return 1 if found.by_hand else 0


if __name__ == "__main__":
    sys.exit(main())
