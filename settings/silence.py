"""Keeps alerts quiet for a while, and says which: by amtool inside Alertmanager's pod.

`python -m settings.silence --stack production --for 2h --alert CacheDown --reason "moving its volume"` says
what it silences, then does so, and prints how to end it. What is silenced still fires and can be seen. With
`--list` it says what is silenced now, with `--end ID` it ends one. It ends with 2 if it refuses.
"""

import argparse
import getpass
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

USAGE: Final = 2
STOPPED: Final = 130
LONGEST: Final = timedelta(hours=24)
"""What must be quiet for longer is no maintenance: its rule or its route is wrong."""

ALERTMANAGER: Final = "alertmanager"
"""The component's name in the cluster, and its container's."""
WATCHDOG: Final = "Watchdog"

_DURATION: Final = re.compile(r"(?=.)(?:(?P<hours>\d{1,4})h)?(?:(?P<minutes>\d{1,5})m)?")
_ALERT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHOWN: Final = 20


class RefusedError(Exception):
    """Nothing was changed, and why."""


@dataclass(frozen=True, kw_only=True)
class Silence:
    """What is to be quiet.

    Attributes:
        alerts: names of alerts; all when there are none.
        namespaces: only what is about these; all when there are none.
        lasts: for how long.
        reason: why, for whoever wonders.
    """

    alerts: Sequence[str]
    namespaces: Sequence[str]
    lasts: timedelta
    reason: str

    def matchers(self) -> list[str]:
        """What an alert must be to be silenced, as amtool reads it. The watchdog never is."""
        # Alertmanager refuses a silence that would match what has no labels, so any name must be one.
        any_other = ['alertname=~".+"', f'alertname!="{WATCHDOG}"']
        told = [_one_of("alertname", self.alerts)] if self.alerts else any_other
        return [*told, *([_one_of("namespace", self.namespaces)] if self.namespaces else [])]


def duration(text: str) -> timedelta:
    """A time such as `45m`, `2h` or `1h30m`.

    Raises:
        RefusedError: it is none, or longer than a day.
    """
    found = _DURATION.fullmatch(text)
    lasts = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0)) if found else None
    if not lasts:
        raise RefusedError(f"--for {text}: that is no time\n  valid:  such as 45m, 2h or 1h30m")
    if lasts > LONGEST:
        raise RefusedError(
            f"--for {text}: longer than a day\n  valid:  up to 24h\n"
            "  to do:  silence it day by day; or, if it should not tell, mend its rule"
        )
    return lasts


def wanted(
    alerts: Sequence[str], namespaces: Sequence[str], everything: bool, lasts: str | None, reason: str | None
) -> Silence:
    """What the operator wants, once it is whole.

    Args:
        alerts: names of alerts.
        namespaces: names of namespaces.
        everything: whether all of the stack is meant.
        lasts: for how long.
        reason: why.

    Raises:
        RefusedError: something is missing, or is not what it should be.
    """
    if not alerts and not namespaces and not everything:
        raise RefusedError(
            "silence what?\n  valid:  --alert NAME, --namespace NAME, or both; --all for the whole stack"
        )
    if everything and (alerts or namespaces):
        raise RefusedError("--all with --alert or --namespace\n  to do:  leave out the one that is not meant")
    for kind, pattern, names, such in (
        ("alert", _ALERT, alerts, "CacheDown"),
        ("namespace", _NAMESPACE, namespaces, "fixia-data"),
    ):
        for name in names:
            if not pattern.fullmatch(name):
                raise RefusedError(f"--{kind} {name!r}: that is no name\n  valid:  such as {such}")
    if WATCHDOG in alerts:
        raise RefusedError(
            f"--alert {WATCHDOG}: it always fires, so that somebody outside knows that alerts can be told\n"
            "  to do:  leave it; silence what is loud"
        )
    if not lasts:
        raise RefusedError("for how long?\n  valid:  --for 45m, --for 2h, up to 24h")
    if not (reason or "").strip():
        raise RefusedError(
            "why?\n  valid:  --reason 'moving the cache to another node': whoever wonders reads it"
        )
    return Silence(
        alerts=alerts, namespaces=namespaces, lasts=duration(lasts), reason=" ".join((reason or "").split())
    )


class Alertmanager:
    """The one of the cluster that kubectl talks to.

    Args:
        namespace: where it runs.
        context: kubectl's; its current one unless told.
    """

    def __init__(self, namespace: str, context: str | None = None) -> None:
        self._kubectl = ["kubectl", *(["--context", context] if context else []), "--namespace", namespace]

    def environment(self) -> str:
        """Which stack's it is, by its own label.

        Raises:
            RefusedError: it can't be asked.
        """
        shown = "jsonpath={.metadata.labels.environment}"
        return self._run("get", f"statefulset/{ALERTMANAGER}", "-o", shown).strip()

    def firing(self, matchers: Sequence[str]) -> list[dict[str, Any]]:
        """What fires now and is such.

        Raises:
            RefusedError: it can't be asked.
        """
        told: list[dict[str, Any]] = self._asked("alert", "query", "--active", *matchers)
        return told

    def add(self, silence: Silence, author: str) -> tuple[str, datetime]:
        """Begin a silence; all replicas have it within seconds.

        Returns:
            Its id, and when it ends.

        Raises:
            RefusedError: it could not be made.
        """
        ends = datetime.now(UTC).replace(microsecond=0) + silence.lasts
        told = [f"--author={author}", f"--comment={silence.reason}", f"--end={ends.isoformat()}"]
        return self._amtool("silence", "add", *told, *silence.matchers()).strip(), ends

    def silences(self) -> list[dict[str, Any]]:
        """What is silenced now or soon.

        Raises:
            RefusedError: it can't be asked.
        """
        told: list[dict[str, Any]] = self._asked("silence", "query")
        return told

    def end(self, number: str) -> None:
        """End a silence.

        Raises:
            RefusedError: there is none of that id.
        """
        if not _ID.fullmatch(number):
            raise RefusedError(f"--end {number}: that is no id\n  to do:  --list shows them")
        self._amtool("silence", "expire", number)

    def _asked(self, *arguments: str) -> Any:
        said = self._amtool("--output=json", *arguments).strip()
        try:
            return json.loads(said or "[]") or []
        except json.JSONDecodeError:
            raise RefusedError(f"amtool in Alertmanager's pod said what is no JSON:\n{said}") from None

    def _amtool(self, *arguments: str) -> str:
        # Any of its pods will do. amtool's own settings there say where it is and how to come in.
        target = [f"statefulset/{ALERTMANAGER}", "--container", ALERTMANAGER]
        return self._run("exec", *target, "--", "amtool", *arguments)

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [*self._kubectl, *arguments],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            raise RefusedError(
                f"kubectl: {error.strerror}\n  to do:  install it, or add it to PATH"
            ) from None
        if done.returncode:
            said = "\n".join(filter(None, (done.stderr.strip(), done.stdout.strip())))
            raise RefusedError(
                f"Alertmanager could not be asked:\n{said or 'kubectl failed and said nothing'}\n"
                "  to do:  is it the right cluster? kubectl config use-context; does it run?\n"
                f"          {' '.join(self._kubectl)} get pods"
            )
        return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the module says.

    Returns:
        0, or 2 if it refuses.
    """
    parser = argparse.ArgumentParser(prog="python -m settings.silence", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--for", dest="lasts", help="how long: 45m, 2h, 1h30m; 24h at most")
    parser.add_argument("--alert", action="append", default=[], help="an alert's name, or several")
    parser.add_argument("--namespace", action="append", default=[], help="a namespace, or several")
    parser.add_argument("--all", action="store_true", help="every alert of the stack")
    parser.add_argument("--reason", help="why")
    parser.add_argument("--list", action="store_true", help="what is silenced now")
    parser.add_argument("--end", metavar="ID", help="end one silence")
    parser.add_argument("--monitoring-namespace", help="Alertmanager's; PRODUCT-monitoring unless told")
    parser.add_argument("--context", help="kubectl's; its current one unless told")
    parser.add_argument("--program", type=Path, default=Path.cwd())
    given = parser.parse_args(arguments)
    try:
        stack = _stack(given.program / f"Pulumi.{given.stack}.yaml")
        asked = None
        if not given.list and not given.end:
            asked = wanted(_names(given.alert), _names(given.namespace), given.all, given.lasts, given.reason)
        namespace = given.monitoring_namespace or f"{stack['product']}-monitoring"
        alertmanager = Alertmanager(namespace, given.context or None)
        _require_stack(alertmanager, given.stack, stack["environment"])
        if asked:
            _silence(alertmanager, asked, given.stack)
        elif given.end:
            alertmanager.end(given.end)
            print(f"silence {given.end} has ended: what still fires is told again within five minutes")
        else:
            _list(alertmanager)
    except RefusedError as error:
        print(f"refused: {error}\n  nothing was changed", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("\nstopped; make silence LIST=1 shows whether it was made", file=sys.stderr)
        return STOPPED
    return 0


def _silence(alertmanager: Alertmanager, silence: Silence, stack: str) -> None:
    firing = alertmanager.firing(silence.matchers())
    alerts = ", ".join(silence.alerts) or f"all but {WATCHDOG}"
    print(f"silenced  {alerts}\nwithin    {', '.join(silence.namespaces) or 'every namespace'}")
    print(f"stack     {stack}\nbecause   {silence.reason}")
    print(f"firing    {len(firing) or 'nothing of it now'}")
    for alert in firing[:_SHOWN]:
        print(f"          {_alert(alert)}")
    if len(firing) > _SHOWN:
        print(f"          and {len(firing) - _SHOWN} more")
    number, ends = alertmanager.add(silence, _author())
    print(f"until     {ends:%Y-%m-%d %H:%M} UTC\nid        {number}")
    print(f"sooner:   make silence STACK={stack} END={number}")


def _list(alertmanager: Alertmanager) -> None:
    silences = sorted(alertmanager.silences(), key=lambda each: str(each["endsAt"]))
    if not silences:
        print("nothing is silenced")
    for each in silences:
        matchers = " ".join(_matcher(matcher) for matcher in each["matchers"])
        ends = datetime.fromisoformat(each["endsAt"].replace("Z", "+00:00"))
        print(f"{each['id']}  until {ends:%Y-%m-%d %H:%M} UTC  {matchers}")
        print(f"  {each['createdBy']}: {each['comment']}")


def _require_stack(alertmanager: Alertmanager, stack: str, environment: str) -> None:
    if (found := alertmanager.environment()) != environment:
        raise RefusedError(
            f"kubectl talks to a cluster of {found or 'nobody that we know'}, and {stack} is {environment}\n"
            "  to do:  kubectl config use-context, or --context"
        )


def _stack(file: Path) -> dict[str, str]:
    """Whose stack it is, by its file: product and environment."""
    if not file.is_file():
        raise RefusedError(f"{file}: there is no such stack file; name a stack that has one")
    config = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("config") or {}
    for key, section in config.items():
        if (
            key.endswith(":stack")
            and isinstance(section, dict)
            and {"product", "environment"} <= set(section)
        ):
            return {name: str(section[name]) for name in ("product", "environment")}
    raise RefusedError(f"{file}: it does not say whose it is\n  valid:  config.fixia:stack with both names")


def _names(told: Sequence[str]) -> list[str]:
    """Each name by itself: an option can hold several, with spaces or commas between."""
    return [name for each in told for name in re.split(r"[\s,]+", each.strip())]


def _one_of(label: str, names: Sequence[str]) -> str:
    return f'{label}="{names[0]}"' if len(names) == 1 else f'{label}=~"{"|".join(names)}"'


def _alert(alert: dict[str, Any]) -> str:
    labels = alert.get("labels", {})
    about = {key: value for key, value in labels.items() if key in ("namespace", "pod", "node", "service")}
    told = f"{labels.get('severity', '')} {labels.get('alertname', '')} "
    return told + " ".join(f"{key}={value}" for key, value in sorted(about.items()))


def _matcher(matcher: dict[str, Any]) -> str:
    signs = {(True, False): "=", (True, True): "=~", (False, False): "!=", (False, True): "!~"}
    return f"{matcher['name']}{signs[matcher.get('isEqual', True), matcher['isRegex']]}{matcher['value']}"


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
