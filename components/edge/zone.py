"""How the zone is set: encrypted everywhere, and nothing that changes what the frontend made."""

from typing import Any, Final

from components.edge.shape import PlanName

YEAR_SECONDS: Final = 31_536_000


def zone_settings(*, subdomains: bool, preload: bool, under_attack: bool) -> dict[str, Any]:
    """The zone's settings: name -> value, as Cloudflare calls them.

    Together they are an A+ of SSL Labs: no version below 1.2, HSTS of more than half a year.
    Sources: https://developers.cloudflare.com/api/resources/zones/subresources/settings/,
    https://github.com/ssllabs/research/wiki/SSL-Server-Rating-Guide

    Args:
        subdomains: whether HSTS holds for every name below the zone.
        preload: whether the zone may be built into browsers.
        under_attack: whether every browser is examined.
    """
    return {
        # The entrance's certificate is examined: anything less could be listened to behind the edge.
        "ssl": "strict",
        "min_tls_version": "1.2",
        "tls_1_3": "on",
        "always_use_https": "on",
        "automatic_https_rewrites": "on",
        "opportunistic_encryption": "on",
        "http3": "on",
        # A request in the first packet can be sent again by whoever saw it, and some of ours pay.
        "0rtt": "off",
        "brotli": "on",
        "websockets": "on",
        # Else whatever the origin says of less than four hours is raised to four, pages too.
        "browser_cache_ttl": 0,
        # Both write into pages, and the pages' own policy of content knows nothing of them.
        "email_obfuscation": "off",
        "rocket_loader": "off",
        "security_level": "under_attack" if under_attack else "medium",
        # The keys are Cloudflare's own: camelCase would be another change with every run.
        "security_header": {
            "strict_transport_security": {
                "enabled": True,
                "max_age": YEAR_SECONDS,
                "include_subdomains": subdomains,
                "preload": preload,
                "nosniff": True,
            }
        },
    }


def bot_settings(plan: PlanName) -> dict[str, Any] | None:
    """Bot Fight Mode, off: it can't be told of the API's clients, and examines them as if they had a browser.

    Args:
        plan: the zone's; Enterprise has another product, which is bought.

    Source: https://developers.cloudflare.com/bots/get-started/bot-fight-mode/
    """
    if plan == "free":
        return {"fight_mode": False, "enable_js": False}
    if plan == "enterprise":
        return None
    allowed: dict[str, Any] = {
        "sbfm_definitely_automated": "allow",
        "sbfm_verified_bots": "allow",
        "sbfm_static_resource_protection": False,
        "enable_js": False,
    }
    return allowed | ({"sbfm_likely_automated": "allow"} if plan == "business" else {})
