"""The reference documents that need the recorded program or a table of the tests.

`python -m tests.reference` writes them. Stands beside the recorder, because nothing outside tests/ may need it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from settings.schema import REFERENCE
from simulator.reachability.matrix import Cluster
from simulator.reachability.page import page
from tests import pictures
from tests.recorder import STACKS, Recording, record_stack
from tests.unit import board_page, edge_page


def kubernetes_objects(recording: Recording) -> list[dict[str, Any]]:
    """The recorded Kubernetes objects; one without a fixed name is known by its name in the program."""
    return [
        {**resource.inputs, "metadata": {"name": resource.name, **resource.inputs.get("metadata", {})}}
        for resource in sorted(recording.all.values(), key=lambda resource: resource.urn)
        if resource.type.startswith("kubernetes:") and "kind" in resource.inputs
    ]


def generated(recordings: Mapping[str, Recording]) -> dict[Path, str]:
    """Every generated file that needs recordings or a table of the tests, with what should stand in it."""
    clusters = {stack: Cluster.read(kubernetes_objects(recordings[stack])) for stack in recordings}
    drawn, objects = recordings[pictures.STACK], kubernetes_objects(recordings[pictures.STACK])
    return {
        **{path: pictures.drawn_into(path.read_text(), drawn, objects) for path in pictures.PAGES},
        REFERENCE / "dashboards.md": board_page.page(),
        REFERENCE / "edge-requests.md": edge_page.page(),
        REFERENCE / "reachability.md": page(clusters),
    }


if __name__ == "__main__":
    for path, text in generated({stack: record_stack(stack) for stack in STACKS}).items():
        path.write_text(text)
