"""When a certificate is in danger of running out: told long before anybody meets it.

cert-manager renews 30 days before the end, so at 21 days something has been wrong for nine. Whoever scrapes
cert-manager must keep its `namespace` label (`honor_labels`), or it says cert-manager's own namespace.
"""

from typing import Final

from components.watch import Alert

DAY: Final = 86400
"""Seconds."""
EXPIRING: Final = "docs/runbooks/certificate-expiring.md"
NOT_READY: Final = "docs/runbooks/certificate-not-ready.md"

# A certificate that was never issued has the end 0: it is not ready, and does not expire.
_LEFT: Final = "((certmanager_certificate_expiration_timestamp_seconds > 0) - time())"
# What is served may be older than what is renewed. A certificate that was replaced stays in the metrics until
# the entrance restarts, so of those for the same hosts in one pod the newest counts. The entrance's own
# certificate of last resort serves no host.
_SERVED: Final = (
    '(max without (cn, serial) (traefik_tls_certs_not_after{cn!="TRAEFIK DEFAULT CERT"}) - time())'
)

ISSUED: Final = (
    Alert(
        name="CertificateExpiresSoon",
        expression=f"{_LEFT} < {21 * DAY}",
        minutes=60,
        severity="P3",
        summary="Certificate {{ $labels.namespace }}/{{ $labels.name }} was not renewed in time: "
        "{{ $value | humanizeDuration }} left",
        runbook=EXPIRING,
    ),
    Alert(
        name="CertificateExpiresThisWeek",
        expression=f"{_LEFT} < {7 * DAY}",
        minutes=5,
        severity="P1",
        summary="Certificate {{ $labels.namespace }}/{{ $labels.name }} ends in "
        "{{ $value | humanizeDuration }}, then nothing trusts it",
        runbook=EXPIRING,
    ),
    Alert(
        name="CertificateNotReady",
        expression='certmanager_certificate_ready_status{condition="True"} == 0',
        minutes=15,
        severity="P2",
        summary="Certificate {{ $labels.namespace }}/{{ $labels.name }} cannot be issued",
        runbook=NOT_READY,
    ),
    Alert(
        name="CertificatesUnwatched",
        expression="absent(certmanager_certificate_ready_status)",
        minutes=15,
        severity="P2",
        summary="cert-manager tells of no certificate: it is down or not scraped, and nothing is renewed",
        runbook=NOT_READY,
    ),
)
"""For what cert-manager issues: the internal certificates, and the public one by DNS challenge."""

SERVED: Final = (
    Alert(
        name="ServedCertificateExpiresSoon",
        expression=f"{_SERVED} < {21 * DAY}",
        minutes=60,
        severity="P3",
        summary="The entrance serves a certificate for {{ $labels.sans }} that ends in "
        "{{ $value | humanizeDuration }}",
        runbook=EXPIRING,
    ),
    Alert(
        name="ServedCertificateExpiresThisWeek",
        expression=f"{_SERVED} < {7 * DAY}",
        minutes=5,
        severity="P1",
        summary="{{ $labels.sans }} will be unreachable in {{ $value | humanizeDuration }}: "
        "the certificate that the entrance serves ends",
        runbook=EXPIRING,
    ),
)
"""For what the entrance serves, whoever issued it: the only watch over an Origin CA certificate."""
