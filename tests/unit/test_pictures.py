"""The pictures show what the program makes: every component with pods, every connection, in words that Mermaid reads."""

import re
from graphlib import TopologicalSorter

import pytest

from simulator.reachability.matrix import Cluster
from tests import pictures
from tests.recorder import Recording
from tests.reference import kubernetes_objects

LINES = re.compile(
    r"flowchart LR|    subgraph \w+\[[\w-]+\]|    end"
    r'|    (?:    )?\w+(?:\[\(?"[^"]+"\)?\]|\(\("[^"]+"\)\))'
    r"|    \w+ --> \w+|    \w+ -->\|\d+(?:, \d+)*\| \w+"
)
ARROW = re.compile(r"    (\w+) -->(?:\|([\d, ]+)\|)? (\w+)")


@pytest.fixture(params=["local", "staging", "production"])
def stack(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> pictures.Stack:
    recording = recordings[request.param]
    return pictures.Stack(recording, kubernetes_objects(recording))


@pytest.mark.parametrize("name", pictures.DRAWN)
def test_each_line_is_one_that_mermaid_reads(stack: pictures.Stack, name: str) -> None:
    lines = pictures.DRAWN[name](stack).splitlines()
    assert [line for line in lines if not LINES.fullmatch(line)] == []
    declared = {found[1] for line in lines if (found := re.match(r"\s+(?:subgraph )?(\w+)[\[(]", line))}
    for line in lines:
        if name != "order" and (arrow := ARROW.fullmatch(line)):
            assert {arrow[1], arrow[3]} <= declared, line


def test_every_component_that_has_pods_is_in_one_of_them(stack: pictures.Stack) -> None:
    drawn = pictures.paths(stack) + pictures.watch(stack)
    for name in stack.rooms:
        assert f'"{name}"' in drawn, name


def test_every_connection_between_pods_of_two_components_is_drawn_and_no_other(
    recordings: dict[str, Recording],
) -> None:
    objects = kubernetes_objects(recordings["production"])
    arrows = {
        (found[1], found[3])
        for picture in (pictures.paths, pictures.watch)
        for line in picture(pictures.Stack(recordings["production"], objects)).splitlines()
        if (found := ARROW.fullmatch(line))
    }
    assert {
        ("api", "pool"),
        ("api", "cache"),
        ("pool", "database"),
        ("entrance", "web"),
        ("internet", "edge"),
        ("edge", "entrance"),
        ("backups", "buckets"),
        ("prometheus", "database"),
    } <= arrows
    assert not {("api", "database"), ("web", "pool"), ("internet", "entrance"), ("realtime", "pool")} & arrows
    # Take the walls of one away: the picture changes, so it is drawn from them.
    walls = [
        each
        for each in objects
        if not (each["kind"] == "NetworkPolicy" and each["metadata"]["namespace"] == "fixia-data")
    ]
    lax = pictures.Stack(recordings["production"], walls)
    assert len(lax.calls()) > len(pictures.Stack(recordings["production"], objects).calls())
    assert Cluster.read(walls).open("Ingress")


def test_an_update_has_an_order_and_a_release_comes_before_what_serves(stack: pictures.Stack) -> None:
    after: dict[str, set[str]] = {}
    for before, following in stack.waits():
        after.setdefault(following, set()).add(before)
    order = list(TopologicalSorter(after).static_order())
    assert order.index("database") < order.index("release") < order.index("api") < order.index("routes")
    assert ("database", "api") not in stack.waits(), "what follows from others is left out"


def test_the_pages_have_their_marks_and_each_picture_is_on_one() -> None:
    marks = [
        name
        for page in pictures.PAGES
        for name in re.findall(r"<!-- picture: ([\w-]+) -->", page.read_text())
    ]
    assert sorted(marks) == sorted(pictures.DRAWN)


def test_drawing_twice_gives_the_same_and_a_page_without_marks_stays(
    recordings: dict[str, Recording],
) -> None:
    recording = recordings["production"]
    objects = kubernetes_objects(recording)
    once = pictures.drawn_into(
        "a\n<!-- picture: paths -->\nold\n<!-- end of picture -->\nb\n", recording, objects
    )
    assert once.startswith("a\n<!-- picture: paths -->\n```mermaid\nflowchart LR\n")
    assert once.endswith("```\n<!-- end of picture -->\nb\n")
    assert pictures.drawn_into(once, recording, objects) == once
    assert pictures.drawn_into("no mark\n", recording, objects) == "no mark\n"
