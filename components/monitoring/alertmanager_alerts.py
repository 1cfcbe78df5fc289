"""When people may not be told: of Alertmanager itself, told by what is left of it.

If all of it is gone, nothing here can tell; the dead man's switch is no longer asked then, and raises the
alarm outside.
Metrics are named as Debian trixie's Alertmanager 0.28 names them, and carry the labels of what was scraped.
"""

from typing import Final

from components.watch import Alert

JOB: Final = "alertmanager"

_RUNBOOKS: Final = "docs/runbooks"
NOTIFICATIONS: Final = f"{_RUNBOOKS}/alertmanager-notifications.md"
CLUSTER: Final = f"{_RUNBOOKS}/alertmanager-cluster.md"
CONFIGURATION: Final = f"{_RUNBOOKS}/alertmanager-configuration.md"

_SELF: Final = f'{{job="{JOB}"}}'
_MEMBERS: Final = f"alertmanager_cluster_members{_SELF}"

ALERTS: Final = (
    Alert(
        name="AlertmanagerNotificationsFail",
        # Attempts, not messages: a message is given up only when its group is due again, which is a day for
        # some. A refused one is tried again at least every five minutes, all others at least each minute.
        expression="sum by (namespace, pod, integration) "
        f"(increase(alertmanager_notification_requests_failed_total{_SELF}[30m])) > 2",
        minutes=5,
        severity="P2",
        summary="{{ $labels.pod }}: telling people by {{ $labels.integration }} failed "
        "{{ $value | humanize }} times within half an hour",
        runbook=NOTIFICATIONS,
    ),
    Alert(
        name="AlertmanagerConfigurationRefused",
        expression=f"max_over_time(alertmanager_config_last_reload_successful{_SELF}[5m]) == 0",
        minutes=10,
        severity="P2",
        summary="{{ $labels.pod }}: Alertmanager refuses its configuration and goes on with the one before",
        runbook=CONFIGURATION,
    ),
    Alert(
        name="AlertmanagerUnwatched",
        expression=f"absent(alertmanager_config_last_reload_successful{_SELF})",
        minutes=10,
        severity="P2",
        summary="No Alertmanager is scraped: nobody would know that its messages fail",
        runbook=CONFIGURATION,
    ),
)
"""For any number of replicas."""

PAIR: Final = (
    Alert(
        name="AlertmanagerPeerMissing",
        # It counts on one that was killed for as long as it lives, if a connection is refused before an
        # answer is missed: a fault of Alertmanager's own transport with TLS. So Prometheus counts as well.
        expression=f"{_MEMBERS} < 2 or {_MEMBERS} and on (namespace) count by (namespace) ({_MEMBERS}) < 2",
        minutes=15,
        severity="P3",
        summary="{{ $labels.pod }} has no other Alertmanager beside it: messages may come twice, and "
        "silences are lost with it",
        runbook=CLUSTER,
    ),
    Alert(
        name="AlertmanagerPeerLeftOver",
        expression=f"{_MEMBERS} > 2",
        minutes=30,
        severity="P4",
        summary="{{ $labels.pod }} counts {{ $value }} Alertmanagers where two are: it may wait 15 seconds "
        "longer for each before it tells",
        runbook=CLUSTER,
    ),
    Alert(
        name="AlertmanagerConfigurationsDiffer",
        expression="count by (namespace) (count_values by (namespace) "
        f'("hash", alertmanager_config_hash{_SELF})) > 1',
        minutes=20,
        severity="P3",
        summary="The Alertmanagers have different configurations: a release of theirs has stopped half-way",
        runbook=CLUSTER,
    ),
)
"""For two of them."""
