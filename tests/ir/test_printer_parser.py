"""The text form: what is printed, that it reads back the same, and that every mistake is shown at its place."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph.errors import ParseError
from kgraph.ir import Builder, Dim, Graph, Location, TensorType, literal, parse, verify
from kgraph.ir.printer import attr_text, literal_text, name_values, node_text, print_graph

B, T = Dim.symbol("B"), Dim.symbol("T")

MLP = """\
kgraph 1
graph @mlp.grad [B >= 1] arena(512*B) target(cpu) {
  inputs  %x: f32[B, 784], %labels: i32[B]
  params  %dense/kernel: f32[784, 128], %"odd name": f32[128]
  %0: f32[B, 128] = matmul(%x, %dense/kernel)   loc("model.py":12, "dense")
  %1: f32[B, 128] = add(%0, %"odd name")   loc("only/layer")
  %act: f32[B, 128] = relu(%1)   loc("model.py":13)
  %2: f32[B, 64], %3: f32[B, 64] = split(%act) {axis = 1, sizes = [64, 64]}
  %4: f32[784, 128] = mul(%dense/kernel, 0.5)
  %5: f32[B, 64], %6: f32[B, 7, 64] = scan(%2, %3) {axis = 1, inits = 1, length = 7, sequences = 0} \
body(%h: f32[B, 64], %7: f32[B, 64]) {
    %8: f32[B, 64] = add(%h, %7)   loc("cell.py":3)
    return %8, %8
  }   loc("model.py":14, "lstm")
  return %act, %6, 1.0
  update %dense/kernel = %4
}"""

ODD = """\
kgraph 1
graph @"a b" [B >= 0, T >= 2] {
  inputs  %x: f64[20*B*T - 3*B + 1], %"0": f32[], %"": i32[], %n: i64[]
  %0: f64[20*B*T - 3*B + 1] = mul(%x, 1e-07:f64)
  %1: i64[] = add(%n, -3:i64)
  %2: f32[] = add(%"0", -inf)
  %3: f32[] = mul(%2, nan)
  %4: bool[] = logical_and(true, false)
  %5: f32[] = dim_size() {dim = 20*B}
  %6: f32[2, 1] = constant() {value = dense<f32[2, 1], [[-0.0], [0.1]]>}
  %7: u8[0] = constant() {value = dense<u8[0], []>}
  %8: bool[] = constant() {value = dense<bool[], true>}
  return %0, %1, %3, %4, %5, %6, %7, %8
}""".replace('%"": i32[], ', "")


@pytest.mark.parametrize("text", [MLP, ODD], ids=["mlp", "odd"])
def test_round_trip(text: str) -> None:
    graph = parse(text)
    verify(graph)
    assert str(graph) == text
    assert str(graph.copy()) == text


def test_without_locations() -> None:
    text = print_graph(parse(MLP), locs=False)
    assert "loc(" not in text
    assert str(parse(text)) == text


def test_comments_and_free_form() -> None:
    text = "// a file\nkgraph 1 graph @f[B>=1]{inputs %x:f32[B] // one\n\n%9:f32[B]=add(%x,1.0)return %9}// end"
    assert str(parse(text)) == (
        "kgraph 1\ngraph @f [B >= 1] {\n  inputs  %x: f32[B]\n  %0: f32[B] = add(%x, 1.0)\n  return %0\n}"
    )


def test_values_are_numbered_in_program_order_and_names_made_unique() -> None:
    graph = Graph("g")
    b = Builder(graph)
    x = b.input("x", TensorType("f32", (B,)))
    first, second, third = b.exp(x), b.exp(x), b.exp(x)
    first.name, third.name = "x", "x.1"
    graph.outputs = [first, second, third]
    assert [name_values(graph)[v] for v in (x, first, second, third)] == ["x", "x.1", "0", "x.1.1"]
    assert str(parse(str(graph))) == str(graph)
    assert node_text(graph.nodes[1], name_values(graph)) == "%0: f32[B] = exp(%x)"


@pytest.mark.parametrize("name", ["a b", "7", "a//b", "a/", "", 'q"q', "größe", "x%", "back\\slash", "new\nline"])
def test_any_name_survives(name: str) -> None:
    graph = Graph("g")
    b = Builder(graph)
    y = b.exp(b.input(name, TensorType("f32")))
    y.name = name and name + "'"
    graph.outputs = [y]
    again = parse(str(graph))
    assert again.inputs[0].name == name
    assert again.outputs[0].name == y.name
    assert str(again) == str(graph)


def test_long_declarations_are_broken_one_per_line() -> None:
    graph = Graph("g")
    for k in range(12):
        graph.add_input(f"input_{k}", TensorType("f32", (B, 784)))
    lines = str(graph).split("\n")
    assert lines[2] == "  inputs  %input_0: f32[B, 784],"
    assert lines[3] == "          %input_1: f32[B, 784],"
    assert lines[13] == "          %input_11: f32[B, 784]"
    assert str(parse(str(graph))) == str(graph)


@pytest.mark.parametrize(
    ("number", "dtype", "text"),
    [
        (0.1, "f32", "0.1"),
        (float(np.float32(0.1)), "f32", "0.1"),
        (0.1, "f64", "0.1:f64"),
        (float(np.float32(0.1)), "f64", "0.10000000149011612:f64"),
        (1.0, "f32", "1.0"),
        (-0.0, "f32", "-0.0"),
        (0.0, "f32", "0.0"),
        (1e30, "f32", "1e+30"),
        (16777216.0, "f32", "16777216.0"),
        (1e300, "f32", "inf"),
        (float("nan"), "f32", "nan"),
        (float("-inf"), "f16", "-inf:f16"),
        (3, "i32", "3"),
        (-3, "i64", "-3:i64"),
        (255, "u8", "255:u8"),
        (True, "bool", "true"),
    ],
)
def test_literals(number: float, dtype: str, text: str) -> None:
    assert literal_text(number, dtype) == text
    graph = parse(f"kgraph 1 graph @g {{ return {text} }}")
    assert literal_text(graph.outputs[0].literal, graph.outputs[0].dtype) == text
    assert graph.outputs[0].dtype == dtype


def test_every_f32_reads_back_to_the_bit(rng: np.random.Generator) -> None:
    for bits in rng.integers(0, 2**32, 300, dtype=np.uint32):
        number = np.uint32(bits).view(np.float32)
        if np.isfinite(number):
            back = parse(f"kgraph 1 graph @g {{ return {literal_text(float(number), 'f32')} }}").outputs[0].literal
            assert np.float32(back).view(np.uint32) == bits


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (True, "true"),
        ("f32", "f32"),
        ("true", '"true"'),
        ("Upper", '"Upper"'),
        ("b", '"b"'),
        ("", '""'),
        (None, "none"),
        ((1, (2.5, "x")), "[1, [2.5, x]]"),
        ((), "[]"),
        (20 * B + 1, "20*B + 1"),
        ((-1) * B, "-B"),
        (-2, "-2"),
        (float("-inf"), "-inf"),
    ],
)
def test_attributes(value: object, text: str) -> None:
    assert attr_text(value, ["b"]) == text
    graph = parse(f"kgraph 1 graph @g [B >= 1, b >= 1] key({text}) {{ return }}")
    again = graph.attrs["key"]
    assert (again, type(again)) == (value, type(value))


@pytest.mark.parametrize("dtype", ["f32", "f64", "f16", "i8", "i32", "i64", "u8", "u32", "bool"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 2), (5, 7)])
def test_arrays(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    array = rng.integers(0, 2, shape).astype(np.bool_) if dtype == "bool" else None
    if array is None:
        names = {"f": "float", "i": "int", "u": "uint"}
        array = np.asarray(rng.integers(0, 100, shape)).astype(names[dtype[0]] + dtype[1:])
    graph = Graph("g")
    graph.outputs = [Builder(graph).constant(value=array)]
    again = parse(str(graph)).nodes[0].attrs["value"]
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
    assert not again.flags.writeable
    assert str(parse(str(graph))) == str(graph)


def test_locations() -> None:
    graph = Graph("g")
    b = Builder(graph)
    x = b.input("x", TensorType("f32"))
    locs = [
        Location(),
        Location("m.py", 3),
        Location("m.py", 3, "a/b"),
        Location("", 0, "a"),
        Location('q"q.py', 0, "l"),
    ]
    for loc in locs:
        with b.location(loc):
            x = b.exp(x)
    graph.outputs = [x]
    assert [node.loc for node in parse(str(graph)).nodes] == locs


# -- mistakes -------------------------------------------------------------------------------------------------------
def body(lines: str) -> str:
    return f"kgraph 1\ngraph @g [B >= 1] {{\n  inputs  %x: f32[B, 4], %y: f32[3]\n{lines}\n}}"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "expected the version line 'kgraph 1', found the end of the text"),
        ("kgraph 2", 1, 8, "version 1 of the text form, not 2"),
        ("kgraph 1\ngraph g {", 2, 7, "the name of the graph"),
        ("kgraph 1\ngraph @g [B > 1] {", 2, 13, "expected '>=', found '>'"),
        ("kgraph 1\ngraph @g [B >= 1, B >= 1] {", 2, 19, "the size B is declared twice"),
        ("kgraph 1\ngraph @g {\n  inputs %x: f32[B]", 3, 18, "the size B is not declared"),
        ("kgraph 1\ngraph @g {\n  inputs %x: float[2]", 3, 14, "unknown element type 'float'"),
        ("kgraph 1\ngraph @g {\n  inputs %x: f32[], %x: f32[]", 3, 21, "%x is defined twice, first on line 3"),
        ("kgraph 1 graph @g { return } graph", 1, 30, "expected the end of the text after the graph"),
        (body("  %0: f32[B, 4] = expp(%x)"), 4, 19, "unknown op 'expp'"),
        (body("  %0: f32[B, 4] = exp(%z)"), 4, 23, "%z is not defined above"),
        (body("  %0: f32[B, 4] = exp(%1)\n  %1: f32[B, 4] = exp(%x)"), 4, 23, "%1 is not defined above"),
        (body("  %x: f32[B, 4] = exp(%x)"), 4, 3, "%x is defined twice"),
        (body("  %0: f32[4] = exp(%x)"), 4, 7, "%0 is declared as f32[4], but exp gives f32[B, 4]"),
        (body("  %0: f32[B, 4] = add(%x, %y)"), 4, 19, "add cannot combine shapes [B, 4] and [3]"),
        (body("  %0: f32[B, 4], %1: f32[] = exp(%x)"), 4, 30, "exp has 1 results here, the text names 2"),
        (body("  %0: f32[B, 4] = exp(%x) {axis = 1}"), 4, 28, "op exp has no attribute 'axis'"),
        (body("  %0: f32[4] = sum(%x) {axes = [0], axes = [1]}"), 4, 37, "the attribute 'axes' is given twice"),
        (body("  %0: f32[4] = sum(%x)"), 4, 16, "op sum needs the attribute 'axes'"),
        (body("  %0: f32[4] = sum(%x) {axes = [0}"), 4, 34, "expected ',' or ']', found '}'"),
        (body("  %0: f32[] = dim_size() {dim = T}"), 4, 33, "the size T is not declared"),
        (body("  %0: f32[B, 4] = mul(%x, 1.5:i32)"), 4, 31, "1.5 is not of the element type i32"),
        (body("  %0: f32[B, 4] = mul(%x, 300:u8)"), 4, 27, "300 does not fit into u8"),
        (body("  %0: f32[B, 4] = mul(%x, )"), 4, 27, "expected an operand"),
        (body("  %0: f32[B, 4] mul(%x, 1.0)"), 4, 17, "expected '=', found 'mul'"),
        (body("  exp(%x)"), 4, 3, "expected a node"),
        (body('  %0: f32[B, 4] = exp(%x) loc("a'), 4, 31, "a string that does not end"),
        (body("  return %x\n  update %x = %x"), 5, 10, "%x is not a param"),
        (body("  return %x $"), 4, 13, "the character '$'"),
        (body("  %0: f32[2] = constant() {value = dense<f32[2], [1.0]>}"), 4, 50, "the data are not those of an array"),
        (body('  %0: f32[2] = constant() {value = dense<f32[2], "AAA">}'), 4, 50, "the data are not those of an array"),
        ("kgraph 1\ngraph @g {\n  params %p: f32[2], %q: f32[3]\n  return\n  update %p = %q", 5, 15, "f32[2]"),
    ],
)
def test_mistakes_are_shown_at_their_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    error = caught.value
    assert message in error.message
    assert (error.line, error.column) == (line, column)
    caret = error.where.split("\n")[-1]
    assert caret.index("^") == len("    | ") + column - 1


def test_regions_see_only_their_arguments() -> None:
    text = body(
        "  %0: f32[B, 4] = scan(%x) {inits = 1, length = 2, sequences = 0} body(%h: f32[B, 4]) {\n"
        "    %1: f32[B, 4] = add(%h, %x)\n    return %1\n  }\n  return %0"
    )
    with pytest.raises(ParseError, match="a region sees its own arguments only") as caught:
        parse(text)
    assert (caught.value.line, caught.value.column) == (5, 29)
    assert "pass it as an operand" in caught.value.fix


def test_near_names_are_offered() -> None:
    with pytest.raises(ParseError, match="did you mean"):
        parse(body("  %0: f32[B, 4] = matmull(%x, %x)"))
    with pytest.raises(ParseError, match=r"did you mean %hidden\?"):
        parse("kgraph 1 graph @g { inputs %hidden: f32[] return %hiden }")


def test_literal_operands_are_of_the_declared_type() -> None:
    graph = parse("kgraph 1 graph @g { inputs %x: f64[] %0: f64[] = add(%x, 2:f64) return %0 }")
    assert graph.nodes[0].operands[1].literal == 2.0
    assert literal_text(literal(2.0, "f64").number, "f64") == "2.0:f64"
