"""What was deployed, and what the policies let pass: facts of this program's own, told as metrics.

No program of the cluster knows them. They stand in a ConfigMap whose files the node exporter reads as it
collects, so that what changes with each deployment restarts nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final

import pulumi
from pulumi_kubernetes.core.v1 import ConfigMap

from components.base import Component, Identity

CONFIG_MAP: Final = "deployed"
"""The ConfigMap's name in the cluster: the node exporter's pods mount it, and are there before it."""

INFO: Final = "platform_deploy_info"
LABELS: Final = "stack, version, commit, author"

EVENTS: Final = f"max by ({LABELS}) ({INFO}) unless max by ({LABELS}) (max_over_time({INFO}[10m] offset 1m))"
"""Each deployment for a minute, from when it is seen first: what the dashboards mark.

Who was away for less than ten minutes is not new; whoever goes back to a version of before is.
"""


@dataclass(frozen=True, kw_only=True)
class DeployedArgs:
    """What is told.

    Attributes:
        identity: whose it is.
        namespace: where the exporter's pods are.
        stack: the stack's name.
        version: what runs, by the tags of the workloads' images.
        commit: the revision of this repository.
        author: whose that is.
        levels: what the stack asks of the policy pack: policy -> its level, or its options and exemptions.
        after: what must stand before it is said to be deployed.
    """

    identity: Identity
    namespace: pulumi.Input[str]
    stack: str
    version: str
    commit: str
    author: str
    levels: Mapping[str, Any]
    after: Sequence[pulumi.Resource] = ()


class Deployed(Component):
    """One ConfigMap, written last: a deployment that fails on its way is none.

    Where nothing of the program, the settings or the images has changed, neither has this.
    """

    TYPE = "fixia:monitoring:Deployed"

    config_map: pulumi.Output[str]
    """The ConfigMap's name in the cluster."""

    def __init__(self, name: str, args: DeployedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, args.identity, opts)
        self.config_map = ConfigMap(
            f"{name}-facts",
            # The name is fixed and the content is not: those who have mounted it read it anew.
            metadata=self.metadata(args.namespace, name=CONFIG_MAP),
            data={"deploy.prom": deploy_facts(args), "policies.prom": policy_facts(args.levels)},
            opts=self.child(depends_on=list(args.after)),
        ).metadata.name
        self.finish()


def deploy_facts(args: DeployedArgs) -> str:
    """What was deployed, as a file of metrics.

    Source: https://github.com/prometheus/node_exporter#textfile-collector
    """
    told = {"stack": args.stack, "version": args.version, "commit": args.commit, "author": args.author}
    return _metric(INFO, "What was deployed, and whose it is.", [(told, 1)])


def policy_facts(levels: Mapping[str, Any]) -> str:
    """What the stack's policies let pass, as a file of metrics.

    Args:
        levels: as in `policies/levels.<stack>.json`.
    """
    lowered = {policy: level for policy, level in levels.items() if isinstance(level, str)}
    lowered |= {
        policy: options["enforcementLevel"]
        for policy, options in levels.items()
        if isinstance(options, Mapping) and "enforcementLevel" in options
    }
    exempt = dict(_exemptions(levels))
    return "".join(
        (
            _metric(
                "platform_policy_lowered",
                "Policies that do not stop a deployment.",
                [({"policy": policy, "level": level}, 1) for policy, level in lowered.items()],
            ),
            _metric(
                "platform_policy_exemptions",
                "Objects that a policy lets pass, each with a reason and an end.",
                [({"policy": policy}, len(ends)) for policy, ends in exempt.items()],
            ),
            _metric(
                "platform_policy_exemption_ends_seconds",
                "When the first of a policy's exemptions ends, after which deployments stop.",
                [({"policy": policy}, _midnight_after(min(ends))) for policy, ends in exempt.items()],
            ),
        )
    )


def _exemptions(levels: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Policy -> the last day of each of its exemptions."""
    for policy, options in levels.items():
        listed = options.get("exemptions", []) if isinstance(options, Mapping) else []
        if listed:
            yield policy, [each["expires"] for each in listed]


def _midnight_after(day: str) -> int:
    last = datetime.combine(date.fromisoformat(day), time.min, UTC)
    return int(last.timestamp()) + 86400


def _metric(name: str, described: str, samples: Sequence[tuple[Mapping[str, str], int]]) -> str:
    lines = [f"# HELP {name} {described}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        lines.append(f"{name}{{{said}}} {value}")
    return "\n".join(lines) + "\n" if samples else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
