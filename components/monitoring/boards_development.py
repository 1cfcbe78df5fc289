"""For who writes it: each route by rate, errors and time, what runs, and how the processes feel."""

from typing import Final

from components.board import RATE, Board, Panel, Variable, files, now, quantile, rate, share
from components.monitoring.boards_shared import PERCENTILES, percent
from components.monitoring.deployed import INFO, LABELS

_THESE: Final = 'job=~"$workload"'
_FAILED: Final = 'status_code=~"5.."'
_TIME: Final = "http_request_duration_seconds"
_ROUTE: Final = "method, route"

_ROUTES: Final = (
    Panel(
        title="Requests by route",
        description="The ten that are asked most. The pattern of the path, so an identifier makes no new "
        "line.",
        unit="reqps",
        queries={"{{method}} {{route}}": f"topk(10, {rate('http_requests_total', _THESE, by=_ROUTE)})"},
    ),
    Panel(
        title="Errors by route",
        description="Of the answers, those that are errors of ours. Each has a line in the log, with the id "
        "that the client was told.",
        unit="percentunit",
        queries={
            "{{method}} {{route}}": share(
                rate("http_requests_total", _THESE, _FAILED, by=_ROUTE),
                rate("http_requests_total", _THESE, by=_ROUTE),
            )
        },
    ),
    Panel(
        title="Refused by route",
        description="Answers that say that the client is wrong. After a release: a client that was not "
        "changed along.",
        unit="reqps",
        queries={
            "{{status_code}} {{method}} {{route}}": "topk(10, "
            + rate("http_requests_total", _THESE, 'status_code=~"4.."', by=f"status_code, {_ROUTE}")
            + ")"
        },
    ),
    *(
        Panel(
            title=f"Time of an answer ({percent(of)})",
            description=f"By route: {of * 100:.0f} of 100 answers come sooner, as the application measures "
            "it, without the way through the entrance.",
            unit="s",
            queries={"{{method}} {{route}}": quantile(of, _TIME, _THESE, by=_ROUTE)},
        )
        for of in PERCENTILES
    ),
    Panel(
        title="Slowest routes",
        description="The ten whose 95th percentile is longest now.",
        unit="s",
        look="table",
        width=12,
        queries={"p95": f"topk(10, {quantile(0.95, _TIME, _THESE, by=f'job, {_ROUTE}')})"},
    ),
    Panel(
        title="Where the time goes",
        description="Seconds of answers in each second, by route: what is both slow and asked often. What is "
        "first here is what to make faster first.",
        unit="short",
        width=12,
        queries={"{{method}} {{route}}": f"topk(10, {rate(f'{_TIME}_sum', _THESE, by=_ROUTE)})"},
    ),
)

_RUNNING: Final = (
    Panel(
        title="What was deployed",
        description="The last deployment of this program: whose commit, and the images' versions. The lines "
        "across the charts are when.",
        unit="short",
        look="table",
        queries={"nodes": now(INFO, by=LABELS, how="count")},
    ),
    Panel(
        title="Versions that run",
        description="By service, with how many pods have each. Two for longer than a release takes is one "
        "that got stuck.",
        unit="short",
        look="table",
        width=12,
        queries={"pods": now("app_info", _THESE, by="job, role, version, commit", how="count")},
    ),
    Panel(
        title="Versions over time",
        description="Pods of each version: a release is where one falls and the other rises.",
        unit="short",
        width=12,
        queries={"{{job}} {{version}}": now("app_info", _THESE, by="job, version", how="count")},
    ),
    Panel(
        title="Restarts",
        description="Of containers, in the time shown. One that was ended for its memory, or ended by "
        "itself.",
        unit="short",
        look="number",
        width=12,
        queries={
            "{{container}}": "sum by (container) (increase("
            'kube_pod_container_status_restarts_total{container=~"$workload"}[$__range]))'
        },
        leads_to="fixia-application",
    ),
    Panel(
        title="Since the start",
        description="Of the youngest process of each service.",
        unit="s",
        look="number",
        width=12,
        queries={"{{job}}": f"time() - {now('process_start_time_seconds', _THESE, by='job', how='max')}"},
    ),
)

_PROCESSES: Final = (
    Panel(
        title="Event loop lag (p99)",
        description="How late timers are: while one thing is computed, nothing else is answered. Beyond 100 "
        "ms something should be made smaller, or be a job.",
        unit="s",
        queries={"{{pod}}": now("nodejs_eventloop_lag_p99_seconds", _THESE, how="max")},
    ),
    Panel(
        title="Heap",
        description="Used by JavaScript, and what Node.js has taken for it. A slope that survives days is a "
        "leak.",
        unit="bytes",
        queries={
            "{{pod}}": now("nodejs_heap_size_used_bytes", _THESE),
            "taken by {{pod}}": now("nodejs_heap_size_total_bytes", _THESE),
        },
    ),
    Panel(
        title="Collecting garbage",
        description="Of the time, by kind. Beyond a tenth the heap is too small for the work.",
        unit="percentunit",
        queries={"{{pod}} {{kind}}": rate("nodejs_gc_duration_seconds_sum", _THESE, by="pod, kind")},
    ),
    Panel(
        title="CPU of the processes",
        description="Cores in use. JavaScript has one at most; more is compression, encryption and hashing.",
        unit="short",
        queries={"{{pod}}": rate("process_cpu_seconds_total", _THESE)},
    ),
    Panel(
        title="Open handles",
        description="Sockets, timers, files. A slope without end is something that is never closed.",
        unit="short",
        queries={"{{pod}}": now("nodejs_active_handles_total", _THESE)},
    ),
    Panel(
        title="Memory outside the heap",
        description="Buffers, and what libraries take. It counts for the container's limit all the same.",
        unit="bytes",
        queries={"{{pod}}": now("nodejs_external_memory_bytes", _THESE)},
    ),
)

_CALLS: Final = (
    Panel(
        title="Database connections of the processes",
        description="By state. Waiting is requests that have none: a slow statement, or a transaction that "
        "is held open.",
        unit="short",
        queries={"{{pod}} {{state}}": now("db_pool_connections", _THESE, by="pod, state")},
    ),
    Panel(
        title="Database calls",
        description="Statements in a second, of all services together, as the pool passes them on.",
        unit="ops",
        queries={"{{database}}": rate("pgbouncer_stats_queries_pooled_total", by="database")},
        leads_to="fixia-database",
    ),
    Panel(
        title="Time of a database call",
        description="On average, at PostgreSQL, without the wait for a connection.",
        unit="s",
        queries={
            "{{database}}": f"{rate('pgbouncer_stats_queries_duration_seconds_total', by='database')} "
            f"/ ({rate('pgbouncer_stats_queries_pooled_total', by='database')} > 0)"
        },
        leads_to="fixia-database",
    ),
    Panel(
        title="Costliest statements",
        description="Seconds of work in each second, by the five most expensive. pg_stat_statements tells "
        "what a number stands for.",
        unit="short",
        queries={
            "{{queryid}}": f"topk(5, {rate('pg_stat_statements_seconds_total', by='queryid')})",
        },
        leads_to="fixia-database",
    ),
    Panel(
        title="Jobs",
        description="Attempts in a second, by how they ended. A job that failed is tried three times.",
        unit="ops",
        queries={"{{outcome}}": rate("jobs_finished_total", _THESE, by="outcome")},
    ),
    Panel(
        title="Database calls per request",
        description="Statements for each request, of all together. A step up after a release is a loop that "
        "asks for one row after the other.",
        unit="short",
        queries={
            "calls": f"sum(rate(pgbouncer_stats_queries_pooled_total[{RATE}])) "
            f"/ (sum(rate(http_requests_total[{RATE}])) > 0)"
        },
    ),
)

BOARDS: Final = (
    Board(
        uid="fixia-development",
        title="Development",
        description="Each route by rate, errors and time; what runs; how the processes feel.",
        tags=["overview"],
        variables=[Variable(name="workload", metric="app_info", label="job", many=True)],
        rows={"Routes": _ROUTES, "Running": _RUNNING, "Processes": _PROCESSES, "Calls": _CALLS},
    ),
)


def boards() -> dict[str, str]:
    """File name -> the dashboard, as Grafana reads it."""
    return files(*BOARDS)
