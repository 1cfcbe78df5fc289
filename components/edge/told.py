"""What whoever runs the stack is told of its edge: where the plan says less, and what stays behind."""

from components.edge.plan import OWASP, PLANS
from components.edge.rate_limit import has_login_rule
from components.edge.shape import PlanName, Shape
from components.edge.zone import bot_settings, zone_settings


def notes(shape: Shape) -> list[str]:
    """Where the zone's plan says something else than was asked for, and what.

    Args:
        shape: the stack.
    """
    plan = PLANS[shape.plan]
    limit = plan.equivalent(shape.requests_per_minute)
    said = []
    if limit.period != 60:
        counted = f"{limit.requests} in {limit.period} s on the plan {plan.name}"
        said.append(
            f"{shape.requests_per_minute} requests a minute are {counted}; "
            f"whoever asks for more waits {limit.mitigation_seconds} s. A burst is refused sooner."
        )
    if not has_login_rule(plan):
        said.append(
            f"the plan {plan.name} has one rate rule: tries of passwords are limited by the entrance alone."
        )
    if OWASP not in plan.managed:
        said.append(f"the plan {plan.name} has the Free Managed Ruleset in the place of Managed and OWASP.")
    if shape.maintenance:
        how = (
            "503 with a page and Retry-After"
            if plan.snippets
            else "403 with Cloudflare's own page: 503 needs a snippet, which begins with pro"
        )
        said.append(f"maintenance: everybody but `openTo` gets {how}.")
    if shape.under_attack:
        said.append("under attack: every browser is examined first; API and sockets are not.")
    return said


def left_behind(plan: PlanName, *, origin_pulls: bool) -> list[str]:
    """What destroying leaves at Cloudflare, for deleting it there does nothing.

    Args:
        plan: the zone's plan.
        origin_pulls: whether a certificate of ours was at the edge.
    """
    settings = zone_settings(subdomains=True, preload=False, under_attack=False)
    behind = [*(f"zone setting {name}" for name in settings), "tiered cache", "normal form of paths"]
    if bot_settings(plan) is not None:
        behind.append("bot management")
    if origin_pulls:
        behind.append("authenticated origin pulls (the setting; the certificate is deleted)")
    return [*behind, "HSTS in every browser that was here, for a year"]
