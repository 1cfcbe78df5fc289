"""Where each image comes from that a node has: no registry is asked.

An image of this project is packed from the root filesystem that the tests enter. One of others has a stand-in
under its own name: the same program from Debian, or built from its makers' source. `SOURCES` says which.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from simulator.faults import USAGE, Fault
from simulator.golang.install import installed
from simulator.images.application import application
from simulator.images.archive import Image, Layer
from simulator.images.dockerfile import run_settings
from simulator.images.rootfs import IMAGES, root_filesystem
from simulator.node.parts import PAUSE
from simulator.node.programs import COREDNS, METRICS_SERVER
from simulator.programs.registry import PROGRAMS
from simulator.progress import Progress

_OURS: Final = Path(__file__).resolve().parents[1] / "images"
"""Holds `node/`, the root filesystem of the node itself."""


@dataclass(frozen=True, kw_only=True)
class Absent:
    """An image that no node can have.

    Attributes:
        why: what is in the way.
        section: the optional part of a stack's settings that goes with it: a section, and what is below it.
    """

    why: str
    section: tuple[str, ...]


ABSENT: Final = MappingProxyType(
    {
        "docker.io/grafana/grafana": Absent(
            why="no package registry has Grafana's server", section=("fixia:monitoring", "grafana")
        )
    }
)
"""An image's name without its tag -> why the node can't have it, and what goes with it."""

APPLICATION: Final = "ghcr.io/fixia/sample-app"
"""Made of more than Debian's packages; `images/application.py` does it."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where an image comes from; one of the first two.

    Attributes:
        folder: the folder of `images/` whose root filesystem it is.
        program: the Go program that is all that is in it.
        stands_in: what it is instead of what its name says; empty for our own.
    """

    folder: str = ""
    program: str = ""
    stands_in: str = ""


SOURCES: Final = MappingProxyType(
    {
        "ghcr.io/fixia/postgres": Source(folder="postgres"),
        "ghcr.io/fixia/postgres-exporter": Source(folder="postgres-exporter"),
        "ghcr.io/fixia/pgbouncer": Source(folder="pgbouncer"),
        "ghcr.io/fixia/pgbouncer-exporter": Source(folder="pgbouncer-exporter"),
        "ghcr.io/fixia/backup": Source(folder="backup"),
        "docker.io/valkey/valkey": Source(
            folder="valkey", stands_in="Debian's valkey-server, which may be of another release"
        ),
        "docker.io/oliver006/redis_exporter": Source(
            folder="redis-exporter", stands_in="Debian's prometheus-redis-exporter, of another release"
        ),
        "docker.io/library/traefik": Source(
            program="traefik", stands_in="Traefik built from its source, of the release in its go.mod"
        ),
        "registry.k8s.io/kube-state-metrics/kube-state-metrics": Source(
            program="kube-state-metrics", stands_in="kube-state-metrics built from its source"
        ),
        "docker.io/grafana/loki": Source(program="loki", stands_in="Loki built from its source"),
        "docker.io/jaegertracing/jaeger": Source(
            program="jaeger", stands_in="Jaeger built from its source, without the pages of its interface"
        ),
        "docker.io/otel/opentelemetry-collector-contrib": Source(
            program="otelcol", stands_in="the collector built from its makers' source, with the parts in use"
        ),
        "quay.io/prometheus/prometheus": Source(
            folder="prometheus", stands_in="Debian's prometheus, of another release"
        ),
        "quay.io/prometheus/alertmanager": Source(
            folder="alertmanager", stands_in="Debian's prometheus-alertmanager, of another release"
        ),
        "quay.io/prometheus/node-exporter": Source(
            folder="node-exporter", stands_in="Debian's prometheus-node-exporter, of another release"
        ),
    }
)
"""An image's name without its tag -> where it comes from."""


def node_filesystem(progress: Progress | None = None) -> Path:
    """Give the root filesystem of the node itself.

    Args:
        progress: where slow steps are told.

    Raises:
        Fault: this machine can't make it.
    """
    return root_filesystem("node", progress, images=_OURS)


def of_the_node(programs: Mapping[str, Path], progress: Progress | None = None) -> dict[str, Image]:
    """Return the images that every node has.

    Args:
        programs: where each program is.
        progress: where slow steps are told.

    Returns:
        The image's role -> the image.
    """
    system = node_filesystem(progress)
    pause = Image(
        name=PAUSE,
        identity=system.name,
        layers=[Layer(files={"busybox": system / "bin" / "busybox"})],
        settings={"Entrypoint": ["/busybox", "sleep", "infinity"], "User": "65535:65535"},
    )
    return {
        "pause": pause,
        "coredns": _of_program(f"fixia.local/coredns:{COREDNS.version}", programs["coredns"]),
        "metrics_server": _of_program(
            f"fixia.local/metrics-server:{METRICS_SERVER.version}", programs["metrics-server"]
        ),
    }


def image(name: str, progress: Progress | None = None) -> Image:
    """Return one of the platform's images, made first if need be.

    Args:
        name: as pods name it, with its tag.
        progress: where slow steps are told.

    Raises:
        Fault: nobody knows where to get it, or it can't be made.
    """
    if name.rpartition(":")[0] == APPLICATION:
        return application(name, progress)
    source = SOURCES.get(name.rpartition(":")[0])
    if source is None:
        raise Fault(
            where=name,
            found="no source of this image is known, and no registry is asked",
            valid=f"one of {', '.join([APPLICATION, *SOURCES])}",
            do="give it a source in simulator/node/catalogue.py",
            exit_code=USAGE,
        )
    if source.program:
        return _of_program(name, installed(PROGRAMS[source.program], progress))
    system = root_filesystem(source.folder, progress)
    settings = run_settings(IMAGES / source.folder / "Dockerfile")
    return Image(name=name, identity=system.name, layers=[Layer(root=system)], settings=settings)


def named_in(stack_file: Path) -> list[str]:
    """Return the images that a stack's file names, each once.

    Args:
        stack_file: `Pulumi.<stack>.yaml`.

    Raises:
        Fault: there is no such file.
    """
    try:
        content = yaml.safe_load(stack_file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Fault(
            where=str(stack_file),
            found="there is no such file",
            valid="a stack's file in the program's folder",
            do="run it there, or name another stack: --stack local",
            exit_code=USAGE,
        ) from error
    return sorted(set(_images(content)))


def absent(name: str) -> Absent | None:
    """Return why the node can't have an image; None if it can.

    Args:
        name: as pods name it, with its tag.
    """
    return ABSENT.get(name.rpartition(":")[0])


def stand_in(name: str) -> str:
    """Return what an image is instead of what its name says; empty if it is what it says.

    Args:
        name: as pods name it, with its tag.
    """
    source = SOURCES.get(name.rpartition(":")[0])
    return source.stands_in if source else ""


def _images(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if isinstance(value, str) and str(key).lower().endswith("image"):
                yield value
            else:
                yield from _images(value)


def _of_program(name: str, program: Path) -> Image:
    """An image with one program of Go's in it, which needs nothing else."""
    status = program.stat()
    return Image(
        name=name,
        identity=f"{program} {status.st_size} {status.st_mtime_ns}",
        layers=[Layer(files={program.name: program})],
        settings={"Entrypoint": [f"/{program.name}"], "User": "10001:10001", "Env": ["PATH=/"]},
    )
