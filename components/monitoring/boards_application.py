"""One workload at a time: its pods, what they use of what they may, and what it answers."""

from typing import Final

from components.board import Board, Panel, Variable, files, now, quantile, rate, share
from components.monitoring.boards_shared import PERCENTILES, cpu, granted, memory, percent

_JOB: Final = 'job="$workload"'
_CONTAINER: Final = 'container="$workload"'
_DEPLOYMENT: Final = 'deployment="$workload"'
_HPA: Final = 'horizontalpodautoscaler=~"$workload-.*"'
_TIME: Final = "http_request_duration_seconds"

_PODS: Final = (
    Panel(
        title="Pods",
        description="Wanted, available, and the most that the autoscaler may make. At the most for long, "
        "what comes on top slows down.",
        unit="short",
        queries={
            "wanted": now("kube_deployment_spec_replicas", _DEPLOYMENT, by=""),
            "available": now("kube_deployment_status_replicas_available", _DEPLOYMENT, by=""),
            "most": now("kube_horizontalpodautoscaler_spec_max_replicas", _HPA, by=""),
        },
    ),
    Panel(
        title="Versions",
        description="Pods of each. A release is where one falls and the other rises.",
        unit="short",
        queries={"{{version}} {{commit}}": now("app_info", _JOB, by="version, commit", how="count")},
    ),
    Panel(
        title="Restarts",
        description="Of its containers, in an hour. None.",
        unit="short",
        queries={
            "{{pod}}": f"3600 * {rate('kube_pod_container_status_restarts_total', _CONTAINER)}",
        },
    ),
    Panel(
        title="CPU",
        description="Cores in use, and what is asked for. The autoscaler adds pods at 70 % of what is asked "
        "for; there is no limit.",
        unit="short",
        queries={
            "{{pod}}": cpu(_CONTAINER),
            "asked for by {{pod}}": granted("cpu", "requests", _CONTAINER),
        },
    ),
    Panel(
        title="Memory",
        description="In use, with the page cache that is active, and where the kernel ends the container.",
        unit="bytes",
        queries={
            "{{pod}}": memory(_CONTAINER),
            "limit of {{pod}}": granted("memory", "limits", _CONTAINER),
        },
    ),
    Panel(
        title="Open files",
        description="Sockets too, of what the process may open. Near 1 it takes no more connections.",
        unit="percentunit",
        most=1,
        queries={
            "{{pod}}": f"{now('process_open_fds', _JOB, how='max')} "
            f"/ {now('process_max_fds', _JOB, how='max')}"
        },
    ),
)

_ANSWERS: Final = (
    Panel(
        title="Requests",
        description="By pod: they share the load evenly.",
        unit="reqps",
        queries={"{{pod}}": rate("http_requests_total", _JOB)},
    ),
    Panel(
        title="Errors",
        description="Of its answers, those that are errors of ours. Of one pod alone: that one is sick.",
        unit="percentunit",
        queries={
            "{{pod}}": share(
                rate("http_requests_total", _JOB, 'status_code=~"5.."'), rate("http_requests_total", _JOB)
            )
        },
    ),
    Panel(
        title="Time of an answer",
        description="What 50, 95 and 99 of 100 answers stay below, without the way through the entrance.",
        unit="s",
        queries={percent(of): quantile(of, _TIME, _JOB) for of in PERCENTILES},
    ),
    Panel(
        title="Event loop lag (p99)",
        description="How late timers are. Beyond 100 ms something is computed that should be a job.",
        unit="s",
        queries={"{{pod}}": now("nodejs_eventloop_lag_p99_seconds", _JOB, how="max")},
    ),
    Panel(
        title="Heap",
        description="Used by JavaScript. A slope that survives days is a leak.",
        unit="bytes",
        queries={"{{pod}}": now("nodejs_heap_size_used_bytes", _JOB)},
    ),
    Panel(
        title="Since the start",
        description="Of each process. All at zero is a release; one at zero again and again is a crash.",
        unit="s",
        queries={"{{pod}}": f"time() - {now('process_start_time_seconds', _JOB, how='max')}"},
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-application",
        title="Application",
        description="One workload at a time: its pods, what they use of what they may, what it answers.",
        tags=["application"],
        variables=[Variable(name="workload", metric="app_info", label="job")],
        rows={"Pods": _PODS, "Answers": _ANSWERS},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
