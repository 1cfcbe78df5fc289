"""The edge: one zone at Cloudflare, as its plan allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from components.base import Component, Identity
from components.edge.dns import Unproxied, records
from components.edge.firewall import in_maintenance
from components.edge.managed import Sensitivity
from components.edge.plan import PLANS
from components.edge.rules import Rule
from components.edge.rulesets import faults, rules_by_phase
from components.edge.shape import Shape
from components.edge.told import left_behind, notes
from components.edge.watch import FAILURES, TIMEOUT_SECONDS, HealthCheck, Notified, alerts
from components.edge.zone import bot_settings, zone_settings

if TYPE_CHECKING:
    from pulumi_cloudflare import RulesetRuleArgs

MAINTENANCE = Path(__file__).parent / "maintenance.js"

RULESETS = {
    "ddos_l7": "floods",
    "http_request_firewall_managed": "managed",
    "http_request_firewall_custom": "firewall",
    "http_ratelimit": "rates",
    "http_request_cache_settings": "cache",
    "http_response_headers_transform": "headers",
    "http_config_settings": "config",
}
"""Phase -> what its ruleset is called here. A zone has one ruleset for a phase."""


@dataclass(frozen=True, kw_only=True)
class CloudflareEdgeArgs:
    """One zone.

    Attributes:
        identity: whose it is.
        account: the account's id.
        zone: the zone's id.
        zone_name: its domain.
        shape: the stack as the rules see it.
        origin: where the entrance is: addresses, or one name.
        unproxied: what the edge does not stand in front of.
        hsts_subdomains: whether HSTS holds for every name below the zone.
        hsts_preload: whether the zone may be built into browsers.
        flood_sensitivity: of the protection against HTTP floods.
        health_check: a check by Cloudflare.
        notified: whom Cloudflare tells.
        origin_pulls: whether `OriginPulls` is there.
        after: what must stand before the edge leads anybody to the origin.
    """

    identity: Identity
    account: str
    zone: str
    zone_name: str
    shape: Shape
    origin: Sequence[str]
    unproxied: Sequence[Unproxied] = ()
    hsts_subdomains: bool = True
    hsts_preload: bool = False
    flood_sensitivity: Sensitivity = "default"
    health_check: HealthCheck | None = None
    notified: Notified = field(default_factory=Notified)
    origin_pulls: bool = True
    after: Sequence[pulumi.Resource] = ()

    def __post_init__(self) -> None:
        """Refuses what Cloudflare would refuse once a part of it stands."""
        found = [*faults(rules_by_phase(self.shape, self.flood_sensitivity), self.shape)]
        if found:
            raise ValueError("; ".join(f"{where}: {what}; valid: {valid}" for where, what, valid in found))
        if self.health_check and not PLANS[self.shape.plan].health_checks:
            raise ValueError(f"the plan {self.shape.plan} has no health checks")


class CloudflareEdge(Component):
    """A zone: its records, settings, rules, and what is watched and told.

    Records come last: nobody is led through the edge before its rules stand. What the plan lacks is left out
    where another layer keeps the promise (`tests/unit/edge_promises.py`); the settings refuse the rest.

    Destroying it takes records, rules and notifications away. Settings stay as they are, because Cloudflare's
    API has no "before": `left_behind` lists them, docs/runbooks/leave-cloudflare.md says what to do.
    """

    TYPE = "fixia:edge:CloudflareEdge"

    plan: str
    """The plan's name."""
    hosts: list[str]
    """The hosts that the edge stands in front of."""
    notes: list[str]
    """Where this plan says something else than was asked for, and what."""
    left_behind: list[str]
    """What destroying leaves at Cloudflare."""

    def __init__(
        self, name: str, args: CloudflareEdgeArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(name, args.identity, opts)
        protected = [*self._settings(name, args), *self._rulesets(name, args), *self._maintenance(name, args)]
        self._records(name, args, after=[*args.after, *protected])
        self._watched(name, args)
        self.plan = args.shape.plan
        self.hosts = sorted(args.shape.hosts)
        self.notes = notes(args.shape)
        for note in self.notes:
            pulumi.log.info(note, self)
        self.left_behind = left_behind(args.shape.plan, origin_pulls=args.origin_pulls)
        self.finish()

    def _settings(self, name: str, args: CloudflareEdgeArgs) -> list[pulumi.Resource]:
        from pulumi_cloudflare import BotManagement, TieredCache, UrlNormalizationSettings, ZoneSetting

        values = zone_settings(
            subdomains=args.hsts_subdomains,
            preload=args.hsts_preload,
            under_attack=args.shape.under_attack,
        )
        made: list[pulumi.Resource] = [
            ZoneSetting(
                f"{name}-{setting.replace('_', '-')}",
                zone_id=args.zone,
                setting_id=setting,
                value=value,
                opts=self.child(),
            )
            for setting, value in values.items()
        ]
        # Data centres ask one of theirs near the origin, before they ask the origin.
        made.append(TieredCache(f"{name}-tiered-cache", zone_id=args.zone, value="on", opts=self.child()))
        # Rules compare paths: `/%61dmin` is `/admin` before they do. The origin gets what was asked for.
        made.append(
            UrlNormalizationSettings(
                f"{name}-paths", zone_id=args.zone, scope="incoming", type="cloudflare", opts=self.child()
            )
        )
        bots = bot_settings(args.shape.plan)
        if bots is not None:
            made.append(BotManagement(f"{name}-bots", zone_id=args.zone, **bots, opts=self.child()))
        return made

    def _rulesets(self, name: str, args: CloudflareEdgeArgs) -> list[pulumi.Resource]:
        from pulumi_cloudflare import Ruleset

        return [
            Ruleset(
                f"{name}-{RULESETS[phase]}",
                zone_id=args.zone,
                name=f"{args.identity.product} {RULESETS[phase]}",
                kind="zone",
                phase=phase,
                rules=[_as_input(rule) for rule in rules],
                opts=self.child(),
            )
            for phase, rules in rules_by_phase(args.shape, args.flood_sensitivity).items()
        ]

    def _maintenance(self, name: str, args: CloudflareEdgeArgs) -> list[pulumi.Resource]:
        """The page that says so, where the plan has snippets; elsewhere a rule blocks."""
        if not (args.shape.maintenance and PLANS[args.shape.plan].snippets):
            return []
        from pulumi_cloudflare import (
            Snippet,
            SnippetFileArgs,
            SnippetMetadataArgs,
            SnippetRules,
            SnippetRulesRuleArgs,
        )

        snippet = Snippet(
            f"{name}-maintenance",
            zone_id=args.zone,
            snippet_name="maintenance",
            files=[SnippetFileArgs(name=MAINTENANCE.name, content=MAINTENANCE.read_text(encoding="utf-8"))],
            metadata=SnippetMetadataArgs(main_module=MAINTENANCE.name),
            opts=self.child(),
        )
        rules = SnippetRules(
            f"{name}-maintenance-rules",
            zone_id=args.zone,
            rules=[
                SnippetRulesRuleArgs(
                    expression=str(in_maintenance(args.shape)),
                    snippet_name=snippet.snippet_name,
                    description="closed for maintenance",
                    enabled=True,
                )
            ],
            opts=self.child(),
        )
        return [snippet, rules]

    def _records(self, name: str, args: CloudflareEdgeArgs, after: Sequence[pulumi.Resource]) -> None:
        from pulumi_cloudflare import DnsRecord

        for record in records(args.zone_name, sorted(args.shape.hosts), args.origin, args.unproxied):
            DnsRecord(
                f"{name}-{record.role}",
                zone_id=args.zone,
                name=record.name,
                type=record.type,
                content=record.content,
                proxied=record.proxied,
                ttl=record.ttl,
                priority=record.priority,
                comment=record.comment,
                opts=self.child(depends_on=list(after) if record.proxied else []),
            )

    def _watched(self, name: str, args: CloudflareEdgeArgs) -> None:
        from pulumi_cloudflare import Healthcheck, HealthcheckHttpConfigArgs

        plan = PLANS[args.shape.plan]
        if args.notified.anybody():
            for alert in alerts(plan, zone=args.zone, origin_pulls=args.origin_pulls):
                self._told(f"{name}-{alert.role}", args, alert.type, alert.description, alert.filters)
        if args.health_check is None:
            return
        asked = args.health_check
        check = Healthcheck(
            f"{name}-health",
            zone_id=args.zone,
            name=f"{args.identity.product}-{args.identity.environment}",
            description=f"https://{asked.host}{asked.path} through the edge",
            address=asked.host,
            type="HTTPS",
            http_config=HealthcheckHttpConfigArgs(
                method="GET", path=asked.path, port=443, expected_codes=["200"], follow_redirects=False
            ),
            check_regions=list(asked.regions),
            interval=asked.interval_seconds,
            retries=asked.retries,
            timeout=TIMEOUT_SECONDS,
            consecutive_fails=FAILURES,
            consecutive_successes=FAILURES,
            opts=self.child(),
        )
        if args.notified.anybody():
            filters: dict[str, Sequence[pulumi.Input[str]]] = {
                "health_check_ids": [check.id],
                "statuses": ["Unhealthy", "Healthy"],
            }
            kind = "health_check_status_notification"
            self._told(f"{name}-unhealthy", args, kind, "the health check fails, or is good again", filters)

    def _told(
        self,
        name: str,
        args: CloudflareEdgeArgs,
        kind: str,
        description: str,
        filters: Mapping[str, Sequence[pulumi.Input[str]]],
    ) -> None:
        from pulumi_cloudflare import NotificationPolicy, NotificationPolicyFiltersArgs

        told = args.notified
        ways = {"emails": told.emails, "webhooks": told.webhooks, "pagerduties": told.pagerduty}
        mechanisms: Any = {way: [{"id": each} for each in whom] for way, whom in ways.items() if whom}
        narrowed: Any = {key: list(values) for key, values in filters.items()}
        NotificationPolicy(
            name,
            account_id=args.account,
            name=f"{args.identity.product} {args.identity.environment}: {description}"[:100],
            description=description,
            alert_type=kind,
            enabled=True,
            mechanisms=mechanisms,
            filters=NotificationPolicyFiltersArgs(**narrowed) if narrowed else None,
            opts=self.child(),
        )


def _as_input(rule: Rule) -> "RulesetRuleArgs":
    """A rule as the provider takes it."""
    from pulumi_cloudflare import RulesetRuleArgs, RulesetRuleRatelimitArgs

    limit = None
    if rule.ratelimit is not None:
        limit = RulesetRuleRatelimitArgs(
            characteristics=list(rule.ratelimit.characteristics),
            period=rule.ratelimit.period,
            requests_per_period=rule.ratelimit.requests,
            mitigation_timeout=rule.ratelimit.mitigation_seconds,
        )
    parameters: Any = dict(rule.parameters) if rule.parameters else None
    return RulesetRuleArgs(
        ref=rule.ref,
        description=rule.description,
        expression=str(rule.expression),
        action=rule.action,
        action_parameters=parameters,
        enabled=rule.enabled,
        ratelimit=limit,
    )
