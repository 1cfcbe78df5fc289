"""Trials of alerts, with Prometheus' own tool as the judge: series as they would be, and who is told of them when."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from components.watch import Alert, Recording, rules
from tests.artifact.promtool import judged

WINDOW_MINUTES: Final = 75
"""Beside an alert's own wait: past the windows that most expressions look at."""
RULES: Final = "rules.yaml"

Series = Mapping[str, float | str]
"""A series -> its values: a number stays so, a text is in promtool's notation. Prometheus' tests begin in 1970."""


@dataclass(frozen=True)
class Case:
    """What an alert is about: series as they are when it must come, and when it must not.

    Attributes:
        comes: when it must; several, if there are several ways.
        quiet: when it must not, and is not even about to in the end; likewise.
        begins: minutes until the expression is true of `comes`: the alert then fires at the end of its own wait,
            and not a step sooner. None: it must fire at the end of the trial, whenever it began.
        minutes: how long the trial is; past the alert's wait and the usual windows unless told.
        step: minutes between two values, for alerts that look far back.
    """

    comes: Series | Sequence[Series]
    quiet: Series | Sequence[Series]
    begins: int | None = None
    minutes: int | None = None
    step: int = 1


def _values(value: float | str, count: int) -> str:
    if isinstance(value, str):
        return value
    return f"{value:f}".rstrip("0").rstrip(".") + f"x{count}"


def expected(
    alert: str,
    minute: int,
    *,
    comes: bool,
    state: str = "firing",
    since: int = 0,
    labelled: Sequence[str] = (),
) -> dict[str, Any]:
    """A question to promtool: whether one alert is there at a minute.

    Args:
        alert: its name.
        minute: when, from the trial's beginning.
        comes: what must be.
        state: `firing` or `pending`; either, if empty.
        since: how many minutes back it counts too.
        labelled: labels that it must have to count.
    """
    wanted = [f'alertname="{alert}"', *([f'alertstate="{state}"'] if state else [])]
    wanted += [f'{label}!=""' for label in labelled]
    alerts = f"ALERTS{{{','.join(wanted)}}}"
    return {
        "expr": f"count(last_over_time({alerts}[{since}m]))" if since else f"count({alerts})",
        "eval_time": f"{minute}m",
        "exp_samples": [{"labels": "{}", "value": 1}] if comes else [],
    }


def trial(
    alert: Alert,
    given: Series,
    *,
    comes: bool,
    minutes: int | None = None,
    begins: int | None = None,
    step: int = 1,
) -> dict[str, Any]:
    """One of promtool's own tests: at the end somebody is told; or nobody ever was, nor is about to be.

    An alert that comes must have every label that its summary speaks of.

    Args:
        alert: the alert.
        given: the series that there are.
        comes: which of the two it must be.
        minutes: how long it takes; past the alert's wait and the usual windows unless told.
        begins: when the expression becomes true, if it matters that the alert fires at its very minute.
        step: minutes between two values, and between two looks at the rules.
    """
    named = re.findall(r"\$labels\.(\w+)", alert.summary)
    end = minutes if minutes is not None else alert.minutes + WINDOW_MINUTES
    if not comes:
        judgements = [
            expected(alert.name, end, comes=False, state=""),
            expected(alert.name, end, comes=False, since=end),
        ]
    elif begins is None:
        judgements = [expected(alert.name, end, comes=True, labelled=named)]
    else:
        fires = begins + alert.minutes
        end = max(end, fires)
        judgements = [
            expected(alert.name, fires - step, comes=False),
            expected(alert.name, fires, comes=True, labelled=named),
        ]
    return {
        "name": f"{alert.name} {'comes' if comes else 'keeps quiet'} with {dict(given)}",
        "interval": f"{step}m",
        "input_series": [
            {"series": name, "values": _values(value, end // step)}
            # Where nothing else is, time must pass all the same.
            for name, value in {**given, "clock": 1}.items()
        ],
        "promql_expr_test": judgements,
    }


def trials(alerts: Sequence[Alert], cases: Mapping[str, Case]) -> Iterator[dict[str, Any]]:
    """Every case of the alerts; an alert without one, or a case without its alert, is a fault of the test."""
    assert set(cases) == {alert.name for alert in alerts}
    for alert in alerts:
        case = cases[alert.name]
        for comes in _several(case.comes):
            yield trial(alert, comes, comes=True, minutes=case.minutes, begins=case.begins, step=case.step)
        for quiet in _several(case.quiet):
            yield trial(alert, quiet, comes=False, minutes=case.minutes, step=case.step)


def _several(given: Series | Sequence[Series]) -> Sequence[Series]:
    return [given] if isinstance(given, Mapping) else given


def accepted(folder: Path, alerts: Sequence[Alert], recordings: Sequence[Recording] = ()) -> Path:
    """The file of the rules, which Prometheus takes without a complaint."""
    file = folder / RULES
    file.write_text(yaml.safe_dump(rules("tried", alerts, recordings)), encoding="utf-8")
    code, said = judged("check", "rules", "--lint-fatal", file)
    assert code == 0, said
    assert f"{len(alerts) + len(recordings)} rules found" in said
    return file


def judge(
    folder: Path,
    alerts: Sequence[Alert],
    tried: Iterator[dict[str, Any]] | Sequence[dict[str, Any]],
    recordings: Sequence[Recording] = (),
) -> None:
    """Have promtool accept the rules and hold the trials; those of one step together."""
    file = accepted(folder, alerts, recordings)
    by_step: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in tried:
        by_step[each["interval"]].append(each)
    assert by_step
    for step, of_it in by_step.items():
        told = folder / f"trials-{step}.yaml"
        told.write_text(
            yaml.safe_dump({"rule_files": [file.name], "evaluation_interval": step, "tests": of_it}),
            encoding="utf-8",
        )
        code, said = judged("test", "rules", told)
        assert code == 0, said
