"""How many pods of each template there may be at once: at full scale, and while everything is rolled out."""

import math
from collections.abc import Iterator

from simulator.node.client import Manifest
from tests.cluster.court import pod_of

DEFAULT_SURGE = "25%"


def everybody(manifests: list[Manifest]) -> Iterator[Manifest]:
    """Each pod that there may be at once, under a name of its own."""
    most = {
        (scaler["metadata"]["namespace"], scaler["spec"]["scaleTargetRef"]["name"]): scaler["spec"][
            "maxReplicas"
        ]
        for scaler in manifests
        if scaler["kind"] == "HorizontalPodAutoscaler"
    }
    for maker in manifests:
        pod = pod_of(maker)
        place = maker["metadata"].get("namespace"), maker["metadata"]["name"]
        for number in range(_count(maker, most.get(place)) if pod else 0):
            assert pod
            yield {**pod, "metadata": {**pod["metadata"], "name": f"{pod['metadata']['name']}-{number}"}}


def _count(maker: Manifest, most: int | None) -> int:
    spec = maker["spec"]
    replicas: int = most or spec.get("replicas", spec.get("parallelism", 1))
    return replicas + (_surge(spec, replicas) if maker["kind"] == "Deployment" else 0)


def _surge(spec: Manifest, replicas: int) -> int:
    strategy = spec.get("strategy", {})
    if strategy.get("type") == "Recreate":
        return 0
    surge: int | str = strategy.get("rollingUpdate", {}).get("maxSurge", DEFAULT_SURGE)
    return math.ceil(replicas * int(surge.removesuffix("%")) / 100) if isinstance(surge, str) else surge
