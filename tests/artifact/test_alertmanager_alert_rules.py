"""Each alert on Alertmanager comes when it should and keeps quiet otherwise, by Prometheus' own judgement."""

from pathlib import Path

from components.monitoring.alertmanager_alerts import ALERTS, PAIR
from tests.artifact.alert_trials import Case, Series, judge, trials

POD = 'job="alertmanager",namespace="fixia-monitoring",pod="alertmanager-0"'
OTHER = 'job="alertmanager",namespace="fixia-monitoring",pod="alertmanager-1"'
LOADED = "alertmanager_config_last_reload_successful"
MEMBERS = "alertmanager_cluster_members"
HASH = "alertmanager_config_hash"


def failed(values: str, integration: str = "slack") -> Series:
    labels = f'{POD},integration="{integration}"'
    return {f"alertmanager_notification_requests_failed_total{{{labels}}}": values}


def hashes(first: float, second: float) -> Series:
    return {f"{HASH}{{{POD}}}": first, f"{HASH}{{{OTHER}}}": second}


CASES = {
    "AlertmanagerNotificationsFail": Case(
        # Tried again each minute; or refused, and tried again when the group is due, every five.
        [failed("0+1x200"), failed("0x4 " + " ".join(f"{count}x4" for count in range(1, 20)))],
        # Two of each in half an hour: retried, and told.
        [failed("0x200"), {**failed("0x30 2x200"), **failed("0x30 2x200", "email")}],
    ),
    "AlertmanagerConfigurationRefused": Case(
        {f"{LOADED}{{{POD}}}": 0}, {f"{LOADED}{{{POD}}}": "0x4 1x200"}, begins=0
    ),
    "AlertmanagerUnwatched": Case(
        [{f'{LOADED}{{job="another"}}': 1}, {f"{LOADED}{{{POD}}}": "1x4 stale"}],
        {f"{LOADED}{{{POD}}}": 1},
    ),
    "AlertmanagerPeerMissing": Case(
        [
            {f"{MEMBERS}{{{POD}}}": 1, f"{MEMBERS}{{{OTHER}}}": 2},
            # Killed, and still counted by the other one.
            {f"{MEMBERS}{{{POD}}}": 2},
        ],
        {f"{MEMBERS}{{{POD}}}": 2, f"{MEMBERS}{{{OTHER}}}": 2},
        begins=0,
    ),
    "AlertmanagerPeerLeftOver": Case(
        {f"{MEMBERS}{{{POD}}}": 3, f"{MEMBERS}{{{OTHER}}}": 2},
        {f"{MEMBERS}{{{POD}}}": 2, f"{MEMBERS}{{{OTHER}}}": 2},
        begins=0,
    ),
    "AlertmanagerConfigurationsDiffer": Case(
        hashes(1.3e14, 2.7e14),
        [
            hashes(1.3e14, 1.3e14),
            {**hashes(1.3e14, 1.3e14), f"{HASH}{{{OTHER}}}": "5x10 130000000000000x200"},
        ],
        begins=0,
    ),
}


def test_each_comes_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    alerts = (*ALERTS, *PAIR)
    judge(tmp_path, alerts, trials(alerts, CASES))
