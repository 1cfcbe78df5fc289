"""Who makes what is outside the cluster: one provider for Cloudflare, one for keys."""

from typing import TYPE_CHECKING

import pulumi

if TYPE_CHECKING:
    from collections.abc import Sequence


def outside(token: pulumi.Input[str] | None) -> "Sequence[pulumi.ProviderResource]":
    """The providers of Cloudflare and of keys and certificates.

    Args:
        token: the API token; None leaves it to `CLOUDFLARE_API_TOKEN` of whoever runs the program.
    """
    # Here, for the imports take two seconds, and a stack without Cloudflare needs neither.
    import pulumi_cloudflare
    import pulumi_tls

    return [pulumi_cloudflare.Provider("edge", api_token=token), pulumi_tls.Provider("tls")]
