"""The programs that are compared with ours."""

import json
import pprint
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.recorder import ROOT, Recording, record_program, stack_config

STACK: Final = "staging"
ROOMY: Final = {"cpu": "1000", "memory": "2000Gi", "pods": 1000}

_TWO: Final = """
import pulumi
import pulumi_kubernetes

cluster = pulumi_kubernetes.Provider("cluster", context="bench")
opts = pulumi.ResourceOptions(provider=cluster)
for name in ("first", "second"):
    pulumi_kubernetes.core.v1.Namespace(name, opts=opts)
"""

_FLAT: Final = """
import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

cluster = pulumi.ResourceOptions(provider=kubernetes.Provider("cluster", context="bench"))
chance = pulumi.ResourceOptions(provider=random.Provider("random"))
"""


def with_workloads(count: int) -> dict[str, Any]:
    """The staging stack's settings with so many copies of its API, and nothing else on the ground."""
    config: dict[str, Any] = {
        key: json.loads(value) if value[0] in "{[" else value for key, value in stack_config(STACK).items()
    }
    for section in ("cache", "entrance", "release", "backup", "edge", "monitoring"):
        del config[f"fixia:{section}"]
    # A quota counts at most a thousand pods, so in a fleet this large each runs one.
    one = {"min": 1, "max": 1, "cpuPercent": 70, "memoryPercent": 80}
    api = {**config["fixia:workloads"]["api"], "autoscaling": one, "talksTo": ["internet"], "public": None}
    config["fixia:workloads"] = {f"api-{number}": api for number in range(count)}
    config["fixia:platform"]["namespaces"]["app"]["quota"] = ROOMY
    config["fixia:secrets"] = {"jwt-secret": {"generate": 64}}
    return config


def ours(folder: Path, config: Mapping[str, Any]) -> Path:
    """A copy of the whole program with other settings."""
    folder.mkdir(parents=True)
    for part in ("__main__.py", "Pulumi.yaml"):
        shutil.copy(ROOT / part, folder)
    for part in ("components", "settings", "policies", "images", ".venv"):
        (folder / part).symlink_to(ROOT / part)
    _write_settings(folder, config)
    return folder


def two(folder: Path) -> Path:
    """The smallest program: two resources, no component."""
    return _program(folder, _TWO)


def flat(folder: Path, config: Mapping[str, Any]) -> Path:
    """The very resources that our program makes with these settings, declared one after the other."""
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return _program(folder, _FLAT + "\n".join(_declarations(record_program(raw, STACK))))


def _declarations(recording: Recording) -> list[str]:
    lines = []
    for resource in recording.all.values():
        if not resource.custom or resource.type.startswith("pulumi:providers:"):
            continue
        package, module, kind = resource.type.split(":")
        if package == "random":
            lines.append(f"random.{kind}({resource.name!r}, length=64, special=False, opts=chance)")
            continue
        inputs = {key: value for key, value in resource.inputs.items() if key not in ("apiVersion", "kind")}
        if kind == "Secret":
            inputs["stringData"] = dict.fromkeys(
                ("jwt-secret", "jwt-secret-previous", "jwt-secret-next"), "bench"
            )
        arguments = pprint.pformat(inputs, sort_dicts=False)
        group, _, version = module.partition("/")
        made_by = f"kubernetes.{group.removesuffix('.k8s.io')}.{version}.{kind}"
        if group == "cert-manager.io":
            made_by = "kubernetes.apiextensions.CustomResource"
            arguments = pprint.pformat({**inputs, "apiVersion": module, "kind": kind}, sort_dicts=False)
        lines.append(f"{made_by}({resource.name!r}, **kwargs({arguments}), opts=cluster)")
    names = "def kwargs(inputs):\n    return {to_snake(key): value for key, value in inputs.items()}\n"
    return ["from pydantic.alias_generators import to_snake", names, *lines]


def _program(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "__main__.py").write_text(text)
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    (folder / ".venv").symlink_to(ROOT / ".venv")
    _write_settings(folder, {"pulumi:disable-default-providers": ["*"]})
    return folder


def _write_settings(folder: Path, config: Mapping[str, Any]) -> None:
    (folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump({"config": dict(config)}))
