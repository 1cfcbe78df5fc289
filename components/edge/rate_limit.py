"""How often one address may ask."""

from typing import Final

from components.edge.expression import HOST, METHOD, PATH, VERIFIED_BOT, Expression
from components.edge.plan import PLANS, Plan
from components.edge.rules import RateLimit, Rule
from components.edge.shape import Shape

LOGIN_PAUSE_SECONDS: Final = 600
"""How long an address that tried too many passwords waits, where the plan can say so."""

ANSWER: Final = {
    "status_code": 429,
    "content_type": "application/json",
    "content": '{"statusCode":429,"error":"Too Many Requests","message":"slow down"}',
}


def rate_limit_rules(shape: Shape) -> list[Rule]:
    """The rate rules of a zone, the narrowest first: a block ends the evaluation.

    What is counted is requests, cached ones too, in each data centre by itself, and with a delay of seconds
    (https://developers.cloudflare.com/waf/rate-limiting-rules/request-rate/): this stops floods, and the
    entrance and the application count exactly. Crawlers that Cloudflare has verified are not counted, for
    whoever limits them is found less.

    Args:
        shape: the stack.
    """
    plan = PLANS[shape.plan]
    rules = []
    if has_login_rule(plan) and shape.login and shape.api:
        tried = HOST.one_of(*shape.api) & PATH.one_of(*shape.login)
        if plan.rate_by_method:
            # Else the question whether a page may ask (CORS) counts too; browsers remember its answer.
            tried = tried & METHOD.equals("POST")
        limit = plan.equivalent(shape.login_per_minute)
        pause = min(LOGIN_PAUSE_SECONDS, plan.longest_timeout)
        rules.append(_rule("login", "passwords are tried slowly", tried, limit, plan, pause))
    limit = plan.equivalent(shape.requests_per_minute)
    everything = f"about {shape.requests_per_minute} requests a minute from one address"
    rules.append(_rule("address", everything, ~VERIFIED_BOT, limit, plan, limit.mitigation_seconds))
    return rules


def has_login_rule(plan: Plan) -> bool:
    """Whether a plan has a second rate rule, and may ask where a request goes."""
    return plan.rules["http_ratelimit"] > 1 and plan.rate_by_host


def _rule(
    ref: str, description: str, expression: Expression, limit: RateLimit, plan: Plan, mitigation_seconds: int
) -> Rule:
    return Rule(
        ref,
        description,
        expression,
        "block",
        parameters={"response": dict(ANSWER)} if plan.says_why else None,
        ratelimit=RateLimit(limit.characteristics, limit.period, limit.requests, mitigation_seconds),
    )
