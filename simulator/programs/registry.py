"""Which Go programs there are. Another one is a folder with go.mod and go.sum, and one entry here.

A folder's go.mod names the program as a `tool` and repeats the `replace` and `exclude` lines of the program's
own go.mod, which only hold for a main module; `go mod tidy` does the rest.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from simulator.golang.install import installed
from simulator.golang.program import Program
from simulator.progress import Progress

_FOLDER: Final = Path(__file__).resolve().parent


def _program(name: str, **particulars: Any) -> Program:
    return Program(name=name, subject=name, folder=_FOLDER / name, **particulars)


_ALL: Final = (
    _program(
        "traefik",
        module="github.com/traefik/traefik/v3",
        command="cmd/traefik",
        stamps={"github.com/traefik/traefik/v3/pkg/version.Version": "{version}"},
        minutes="five to ten minutes",
        build_bytes=8 * 10**9,
        kept_bytes=170 * 10**6,
    ),
    _program(
        "kube-apiserver",
        module="k8s.io/kubernetes",
        command="cmd/kube-apiserver",
        stamps={
            "k8s.io/component-base/version.gitVersion": "v{version}",
            "k8s.io/component-base/version.gitMajor": "1",
            "k8s.io/component-base/version.gitMinor": "35",
        },
        asks=("--version",),
        minutes="five minutes",
        build_bytes=6 * 10**9,
        kept_bytes=100 * 10**6,
    ),
    _program(
        "etcd",
        module="go.etcd.io/etcd/server/v3",
        command=".",  # its main package is the module's root
        asks=("--version",),
        minutes="a minute",
        build_bytes=2 * 10**9,
        kept_bytes=30 * 10**6,
    ),
    # An S3 for tests, on a folder of this machine.
    _program(
        "versitygw",
        module="github.com/versity/versitygw",
        command="cmd/versitygw",
        stamps={"main.Version": "{version}"},
        asks=("--version",),
        minutes="a minute",
        build_bytes=3 * 10**9,
        kept_bytes=50 * 10**6,
    ),
    _program(
        "kube-state-metrics",
        module="k8s.io/kube-state-metrics/v2",
        command=".",
        stamps={"github.com/prometheus/common/version.Version": "v{version}"},
        minutes="two minutes",
        build_bytes=4 * 10**9,
        kept_bytes=60 * 10**6,
    ),
    _program(
        "loki",
        module="github.com/grafana/loki/v3",
        command="cmd/loki",
        stamps={"github.com/grafana/loki/v3/pkg/util/build.Version": "{version}"},
        asks=("-version",),
        minutes="fifteen minutes",
        build_bytes=10 * 10**9,
        kept_bytes=160 * 10**6,
    ),
    # The parts that the platform's configuration names; its makers' image has some two hundred more.
    _program(
        "otelcol",
        module="go.opentelemetry.io/collector/otelcol",
        command="",
        stamps={"main.version": "{version}"},
        asks=("--version",),
        minutes="ten minutes",
        build_bytes=8 * 10**9,
        kept_bytes=70 * 10**6,
    ),
    # Release 1.76 and Jaeger's 2.13 are one commit, which Go's registry has by this name. Without the pages
    # of its user interface, which another repository builds.
    _program(
        "jaeger",
        module="github.com/jaegertracing/jaeger",
        command="cmd/jaeger",
        stamps={"github.com/jaegertracing/jaeger/internal/version.latestVersion": "v{version}"},
        minutes="ten minutes",
        build_bytes=8 * 10**9,
        kept_bytes=120 * 10**6,
    ),
    # It knows the syntax of workflows and the types of their expressions.
    _program(
        "actionlint",
        module="github.com/rhysd/actionlint",
        command="cmd/actionlint",
        stamps={"github.com/rhysd/actionlint.version": "{version}"},
        asks=("-version",),
        minutes="half a minute",
        build_bytes=10**9,
        kept_bytes=20 * 10**6,
    ),
)

PROGRAMS: Final = MappingProxyType({program.name: program for program in _ALL})
"""Every program by name."""


def traefik(progress: Progress | None = None) -> Path:
    """Give the path of Traefik at its pinned release, building it first if need be.

    Args:
        progress: where slow steps are told; stderr unless told.

    Raises:
        Fault: it can't be built; it says what is missing and what to do.
    """
    return installed(PROGRAMS["traefik"], progress)
