"""Records the pull requests of `tests/unit/data/comments` anew: `python -m tests.record_comments`, a few minutes.

Staging as it lies there is brought up once over the simulated providers; then each change below is previewed by
the real engine with the policy pack, and its report and cost are kept. Afterwards the expected comments and the
README's are written anew: read their difference.
"""

import copy
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from components.cost.estimate import Estimate, prices_of
from delivery import cost
from simulator.engine.install import engine
from simulator.report import Report, to_json
from simulator.session import Session
from tests.engine.platform import Config, Platform, config, policies, without
from tests.unit import test_comment, test_readme_comment

BASE: Final = "origin/main"

Change = Callable[[Config], Config | None]
"""Edits a configuration where it is, or returns another one."""


def _added_workload(settings: Config) -> None:
    worker = settings["fixia:workloads"]["web"]
    settings["fixia:workloads"]["search"] = {
        **{key: copy.deepcopy(worker[key]) for key in ("port", "resources", "autoscaling", "probes")},
        "image": "ghcr.io/fixia/search:1.0.0",
        "public": {"host": "search", "requestsPerSecond": 10, "burst": 20},
        "talksTo": ["pool", "cache"],
        "config": {"LOG_LEVEL": "info"},
        "secrets": ["jwt-secret"],
    }
    settings["fixia:platform"]["namespaces"]["app"]["quota"]["memory"] = "6Gi"


def _bigger_database(settings: Config) -> None:
    settings["fixia:database"] |= {
        "resources": {"cpu": "400m", "memory": "1Gi", "memoryLimit": "1Gi"},
        "storage": "20Gi",
    }
    settings["fixia:platform"]["namespaces"]["data"]["quota"] |= {"cpu": "2", "memory": "4Gi"}
    if restore := settings["fixia:platform"]["namespaces"].get("restore"):
        restore["quota"] |= {"cpu": "2", "memory": "4Gi"}


def _changed_image(settings: Config) -> None:
    for workload in settings["fixia:workloads"].values():
        workload["image"] = workload["image"].replace("api:1.0.0", "api:1.1.0")


def _changed_replicas(settings: Config) -> None:
    settings["fixia:workloads"]["api"]["autoscaling"]["min"] = 2


def _moved_cache(settings: Config) -> None:
    settings["fixia:cache"]["namespace"] = "app"


def _no_change(_settings: Config) -> None:
    """Nothing."""


def _policy_violation(settings: Config) -> None:
    settings["fixia:workloads"]["web"]["image"] = "registry.example.com/web:1.0.0"


def _removed_workload(settings: Config) -> None:
    del settings["fixia:workloads"]["web"]


def _rotated_secret(settings: Config) -> None:
    settings["fixia:secrets"]["jwt-secret"]["epoch"] = 2


def _wrong_settings(settings: Config) -> None:
    settings["fixia:workloads"]["api"]["autoscaling"]["min"] = 0
    settings["fixia:workloads"]["api"]["port"] = "many"


CHANGES: Final[Mapping[str, Change]] = {
    "added-workload": _added_workload,
    "bigger-database": _bigger_database,
    "changed-image": _changed_image,
    "changed-replicas": _changed_replicas,
    "moved-cache": _moved_cache,
    "no-change": _no_change,
    "policy-violation": _policy_violation,
    "removed-backups": lambda settings: without(settings, "backup"),
    "removed-workload": _removed_workload,
    "rotated-secret": _rotated_secret,
    "wrong-settings": _wrong_settings,
}
"""Name of a recorded pull request -> what it changes of staging."""

STOPPED: Final = ("policy-violation", "removed-backups", "wrong-settings")
"""Those whose preview fails, as it should."""


def changed(case: str) -> Config:
    """Staging's configuration with one of the changes."""
    settings = config()
    return CHANGES[case](settings) or settings


def previewed(
    platform: Platform, settings: Config, before: Config | None
) -> tuple[Report, dict[str, Any] | None]:
    """Preview a configuration, and estimate both sides.

    Args:
        platform: where it is previewed.
        settings: the configuration.
        before: the one that stands, if any.

    Returns:
        The report, and the costs as they are recorded; None where the preview failed.
    """
    done, report = platform.run("preview", settings, *policies(platform.stack), "--json", "--show-sames")
    if not report.succeeded:
        return report, None
    digest = {**json.loads(done.stdout), "config": settings}
    found = cost.compare(digest, prices_of(), cost.plan_of(before or settings))
    return report, {"before": _estimate(found.before), "after": _estimate(found.after)}


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "components": [
            {"type": type_, "name": name, "low": round(each.low, 6), "high": round(each.high, 6)}
            for (type_, name), each in sorted(found.components.items())
        ],
        "unread": list(found.unread),
        "edge": found.edge,
    }


def _keep(case: str, report: Report, costs: dict[str, Any] | None) -> None:
    if report.succeeded == (case in STOPPED):
        said = "; ".join(each.message for each in report.diagnostics)
        broken = [each.policy for each in report.violations if each.level == "mandatory"]
        sys.exit(f"{case}: succeeded is {report.succeeded}: {said} {broken}")
    # The engine does many things at once: in whatever order it told of them, the record is the same.
    report = replace(report, changes=sorted(report.changes, key=lambda change: change.urn))
    data = {"report": json.loads(to_json(report)), "cost": costs}
    # A line for each change and each violation: a later difference can be read.
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for before, after in (
        ("},{", "},\n{"),
        ('"changes":', '\n"changes":'),
        ('"violations":', '\n"violations":'),
    ):
        text = text.replace(before, after)
    (test_comment.DATA / f"{case}.json").write_text(f"{text}\n", encoding="utf-8")
    counts = ", ".join(f"{count} {what}" for what, count in report.counts.items())
    print(f"{case}: {counts}", flush=True)


def main() -> None:
    """Does what the module says."""
    program = engine()
    with tempfile.TemporaryDirectory(prefix="fixia-record-") as folder:
        with Session(program) as session:
            new = Platform(session, Path(folder), stack="local")
            session.init(new.stack, new.program)
            _keep("new-stack", *previewed(new, config("local"), None))
        with Session(program) as session:
            staging = Platform(session, Path(folder))
            session.init(staging.stack, staging.program)
            done, _ = staging.run("up", config())
            if done.returncode:
                sys.exit(f"staging can't be brought up:\n{staging.output[-4000:]}")
            for case in CHANGES:
                report, costs = previewed(staging, changed(case), config())
                _keep(case, replace(report, base=BASE), costs)
    test_comment.write()
    test_readme_comment.write()


if __name__ == "__main__":
    main()
