"""The layered drawing: geometry read back from the SVG, determinism, escaping, and wrong input."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from kgraph.errors import KGraphError
from kgraph.utils.plot import KINDS, Cluster, DrawEdge, DrawNode, dot_text, layered_svg, text_width

SVG = "{http://www.w3.org/2000/svg}"


def chain(*names):
    return [DrawEdge(a, b) for a, b in pairwise(names)]


def boxes_of(svg):
    """Title of each node -> (left, top, right, bottom)."""
    found = {}
    for group in ET.fromstring(svg).iter(f"{SVG}g"):
        name = group.find(f"{SVG}title").text.partition("\n")[0]
        rect = group.find(f"{SVG}rect")
        x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
        found[name] = (x, y, x + w, y + h)
    return found


def frames_of(svg):
    rects = [r for r in ET.fromstring(svg).iter(f"{SVG}rect") if (r.get("class") or "").startswith("frame")]
    sizes = [[float(r.get(key)) for key in ("x", "y", "width", "height")] for r in rects]
    return [(x, y, x + w, y + h) for x, y, w, h in sizes]


def edges_of(svg):
    """(source, end) -> points of the path, control points included."""
    found = []
    for path in ET.fromstring(svg).iter(f"{SVG}path"):
        if path.get("class") == "edge":
            numbers = [float(text) for text in re.findall(r"-?[\d.]+", path.get("d"))]
            src, dst = path.find(f"{SVG}title").text.split(" → ")
            found.append((src, dst, list(zip(numbers[::2], numbers[1::2]))))
    return found


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def inside(inner, outer):
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


def random_graph(seed, count):
    draw = random.Random(seed)
    nodes = [
        DrawNode(f"n{i}", f"n{i}", ["x" * draw.randint(1, 30)] * draw.randint(0, 3), draw.choice(KINDS))
        for i in range(count)
    ]
    edges = [
        DrawEdge(f"n{max(0, i - draw.choice([1, 1, 2, 3, 8]))}", f"n{i}")
        for i in range(1, count)
        for _ in range(draw.choice([1, 1, 2]))
    ]
    return nodes, edges


RESIDUAL = (
    [DrawNode(name, name) for name in ("in", "a", "b", "add", "out")],
    chain("in", "a", "b", "add", "out") + [DrawEdge("in", "add")],
)
NESTED = (
    [DrawNode(name, name) for name in ("x", "a", "m1", "m2", "b", "side", "y")],
    [*chain("x", "a", "m1", "b", "y"), *chain("a", "m2", "b"), *chain("x", "side", "y"), DrawEdge("x", "m2")],
    [Cluster("outer model", ["a", "b"], [Cluster("inner model", ["m1", "m2"])])],
)
GRAPHS = {
    "empty": ([], [], []),
    "one": ([DrawNode("a", "a")], [], []),
    "residual": (*RESIDUAL, []),
    "nested": NESTED,
    "parallel": ([DrawNode("a", "a"), DrawNode("b", "b")], [DrawEdge("a", "b")] * 3, []),
    "apart": ([DrawNode(c, c) for c in "abcd"], chain("a", "b") + chain("c", "d"), []),
    **{f"random{count}": (*random_graph(count, count), []) for count in (8, 25, 60)},
}


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_stand_apart_and_within_the_page(name, rankdir):
    nodes, edges, clusters = GRAPHS[name]
    svg = layered_svg(nodes, edges, clusters=clusters, rankdir=rankdir, title="A title")
    boxes = boxes_of(svg)
    assert sorted(boxes) == sorted(node.title for node in nodes)
    page = ET.fromstring(svg)
    everything = (0, 0, float(page.get("width")), float(page.get("height")))
    listed = list(boxes.items())
    for i, (title, box) in enumerate(listed):
        assert inside(box, everything), title
        assert not [other for other, rest in listed[:i] if overlap(box, rest)]
    for _, _, points in edges_of(svg):
        assert all(0 <= x <= everything[2] and 0 <= y <= everything[3] for x, y in points)


@pytest.mark.parametrize(("rankdir", "axis"), [("TB", 1), ("LR", 0)])
@pytest.mark.parametrize("name", GRAPHS)
def test_edges_run_from_box_to_box_and_never_back(name, rankdir, axis):
    nodes, edges, clusters = GRAPHS[name]
    svg = layered_svg(nodes, edges, clusters=clusters, rankdir=rankdir)
    boxes, drawn = boxes_of(svg), edges_of(svg)
    assert [(src, dst) for src, dst, _ in drawn] == [(edge.src, edge.dst) for edge in edges]
    for src, dst, points in drawn:
        assert points[0][axis] == boxes[src][axis + 2]
        assert points[-1][axis] == boxes[dst][axis]
        along = [point[axis] for point in points]
        assert along == sorted(along), (src, dst)


def test_edges_pass_beside_the_boxes_of_others():
    nodes, edges, _ = GRAPHS["random25"]
    svg = layered_svg(nodes, edges)
    boxes = boxes_of(svg)
    for src, dst, points in edges_of(svg):
        for name, (left, top, right, bottom) in boxes.items():
            if name not in (src, dst):
                hit = [(x, y) for x, y in points if left < x < right and top < y < bottom]
                assert not hit, (src, dst, name)


def test_the_spine_is_straight():
    boxes = boxes_of(layered_svg(*RESIDUAL))
    assert len({(box[0] + box[2]) / 2 for box in boxes.values()}) == 1


def test_a_branch_is_centred_over_its_ends():
    nodes = [DrawNode(name, name) for name in ("top", "left", "right")]
    boxes = boxes_of(layered_svg(nodes, [DrawEdge("top", "left"), DrawEdge("top", "right")]))
    centre = {name: (box[0] + box[2]) / 2 for name, box in boxes.items()}
    assert abs(centre["top"] - (centre["left"] + centre["right"]) / 2) <= 1


def test_an_input_stands_above_its_use():
    nodes = [DrawNode(name, name) for name in ("a", "b", "c", "d", "late")]
    boxes = boxes_of(layered_svg(nodes, [*chain("a", "b", "c", "d"), DrawEdge("late", "d")]))
    assert boxes["late"][1] == boxes["c"][1]


@pytest.mark.parametrize("rankdir", ["TB", "LR"])
def test_frames_hold_their_nodes_and_no_other(rankdir):
    nodes, edges, clusters = NESTED
    svg = layered_svg(nodes, edges, clusters=clusters, rankdir=rankdir)
    boxes = boxes_of(svg)
    outer, inner = frames_of(svg)
    assert inside(inner, outer)
    for name in ("m1", "m2"):
        assert inside(boxes[name], inner)
    for name in ("a", "b"):
        assert inside(boxes[name], outer)
        assert not overlap(boxes[name], inner)
    for name in ("x", "y", "side"):
        assert not overlap(boxes[name], outer)


def test_cycles_and_loops_are_drawn():
    nodes = [DrawNode(c, c) for c in "abc"]
    svg = layered_svg(nodes, [*chain("a", "b", "c", "a"), DrawEdge("b", "b", "again")])
    assert len(edges_of(svg)) == 4


CODE = """
import sys; sys.path.insert(0, "tests/kgraph")
from test_plot_layout import GRAPHS
from kgraph.utils.plot import dot_text, layered_svg
for nodes, edges, clusters in GRAPHS.values():
    sys.stdout.write(layered_svg(nodes, edges, clusters=clusters) + dot_text(nodes, edges, clusters=clusters))
"""


def test_equal_bytes_whatever_the_hash_seed():
    root = Path(__file__).resolve().parents[2]

    def run(seed):
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root), "PYTHONIOENCODING": "utf-8"}
        return subprocess.run([sys.executable, "-c", CODE], cwd=root, env=env, capture_output=True, check=True).stdout

    assert run("1") == run("2")


def test_text_is_escaped_and_clipped():
    odd = '<b> & "quoted" ]]> \x07 ünï 日本語'
    svg = layered_svg(
        [DrawNode("a&b", odd, [f"<{odd}>\tvalue & more"], "conv"), DrawNode("<", "n" * 200)],
        [DrawEdge("a&b", "<", "<label> & so on")],
        clusters=[Cluster("<frame> & more", ["<"])],
        title="<title> & more",
    )
    page = ET.fromstring(svg)
    texts = [text.text for text in page.iter(f"{SVG}text")]
    assert "<title> & more" in texts
    assert "<frame> & more" in texts
    assert "<label> & so on" in texts
    assert odd.replace("\x07", " ") in texts
    assert any("…" in text and len(text) <= 44 for text in texts)


def test_text_fits_its_box():
    lines = ["(None, 128, 128, 256)", "out\t(None, 224, 224, 3)"]
    for box in boxes_of(layered_svg([DrawNode("a", "WWWWWWWW", lines)], [])).values():
        assert box[2] - box[0] >= text_width("WWWWWWWW", 13, bold=True) + 20
        assert box[2] - box[0] >= text_width("out(None, 224, 224, 3)", 11) + 20
    assert text_width("日", 10) == 10
    assert text_width("", 10) == 0


@pytest.mark.parametrize("theme", ["auto", "light", "dark"])
def test_themes(theme):
    svg = layered_svg([DrawNode("a", "a")], [], theme=theme)
    assert ("prefers-color-scheme" in svg) == (theme == "auto")
    assert ("#14181d" in svg) == (theme != "light")


@pytest.mark.parametrize("draw", [layered_svg, dot_text])
@pytest.mark.parametrize(
    ("nodes", "edges", "options", "message"),
    [
        ("ab", "", {"rankdir": "UP"}, "unknown rankdir 'UP'"),
        ("aa", "", {}, "two nodes have the id 'a'"),
        ("a", "ab", {}, "names no node 'b'"),
        ("a", "", {"clusters": [Cluster("c", ["z"])]}, "names no node 'z'"),
        ("a", "", {"clusters": [Cluster("c", ["a"]), Cluster("d", ["a"])]}, "two clusters hold the node 'a'"),
    ],
)
def test_wrong_input_is_named(draw, nodes, edges, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        draw([DrawNode(c, c) for c in nodes], chain(*edges), **options)
    assert isinstance(caught.value, KGraphError)


def test_unknown_theme_is_named():
    with pytest.raises(ValueError, match="unknown theme 'pink'"):
        layered_svg([], [], theme="pink")


def test_dot_text():
    nodes, edges, clusters = NESTED
    text = dot_text([*nodes, DrawNode('q"\\', 'say "hi"', ["a\tb"])], edges, clusters=clusters, title="T")
    assert text.startswith('digraph "T" {\n  rankdir=TB;')
    assert '  "x" -> "a";' in text
    assert 'subgraph cluster_1 {\n      label="inner model"' in text
    assert r'"q\"\\" [label="say \"hi\"\na: b"' in text
    assert text.count("{") == text.count("}")


def test_large_graphs_take_no_minutes():
    """Ten times the nodes of the largest usual model: some seconds at most."""
    nodes, edges = random_graph(3, 600)
    svg = layered_svg(nodes, edges)
    assert len(boxes_of(svg)) == 600
