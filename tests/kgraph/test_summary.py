"""The table of model.summary()."""

from __future__ import annotations

import re
import sys

import pytest

from kgraph.utils.summary import SummaryRow, format_bytes, format_summary

MLP = [
    SummaryRow("hidden", "Dense", "(None, 64)", 50240),
    SummaryRow("dropout", "Dropout", "(None, 64)", 0, ["hidden[0][0]"]),
    SummaryRow("head", "Dense", "(None, 10)", 650, ["dropout[0][0]"], trainable=False),
]
TWO = [
    SummaryRow("main_input", "InputLayer", "(None, 100)", 0),
    SummaryRow("aux_input", "InputLayer", "(None, 5)", 0),
    SummaryRow("encoder_with_a_very_long_name", "Functional", "(None, 32)", 69760, ["main_input[0][0]"]),
    SummaryRow("lstm", "LSTM", "(None, 32)", 69760, [], depth=1),
    SummaryRow("join", "Concatenate", "(None, 37)", None, ["encoder_with_a_very_long_name[0][0]", "aux_input[0][0]"]),
]


def test_a_chain(golden):
    text = format_summary(MLP, title='Model: "mlp"', trainable_params=50240, non_trainable_params=650)
    golden("summary/chain.txt", text)


def test_branches_nested_layers_and_wrapping(golden):
    text = format_summary(
        TWO, title='Model: "two"', trainable_params=69760, optimizer_params=2, line_length=80, show_trainable=True
    )
    assert max(len(line) for line in text.splitlines()) <= 80
    golden("summary/branches.txt", text)


def test_ascii(golden):
    text = format_summary(TWO, title="Model", trainable_params=1, ascii_only=True)
    assert text.isascii()
    golden("summary/ascii.txt", text)


@pytest.mark.parametrize("styled", [False, True])
@pytest.mark.parametrize("length", [64, 88, 200])
def test_lines_keep_to_the_length(length, styled):
    text = format_summary(TWO, title="T", trainable_params=1, line_length=length, styled=styled)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(len(line) for line in text.splitlines()) <= length
    assert text.count("69,760") == 2


def test_too_small_a_length_loses_nothing():
    text = format_summary(TWO, title="T", trainable_params=1, line_length=1, show_connections=False)
    column = "".join(line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│"))
    for name in ("main_input(InputLayer)", "encoder_with_a_very_long_name(Functional)", "join(Concatenate)"):
        assert name in column.replace(" ", "")


def test_styled_uses_colours_and_plain_does_not():
    options = {"title": "T", "trainable_params": 1}
    assert "\x1b[" in format_summary(MLP, **options, styled=True)
    assert "\x1b[" not in format_summary(MLP, **options)


def test_styled_without_rich_is_plain(monkeypatch):
    for name in list(sys.modules):
        if name.partition(".")[0] == "rich":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    options = {"title": "T", "trainable_params": 1}
    assert format_summary(MLP, **options, styled=True) == format_summary(MLP, **options)


def test_wide_signs_keep_the_walls_straight():
    text = format_summary([SummaryRow("層", "Dense", "(None, 1)", 2)], title="T", trainable_params=2)
    rule, row = text.splitlines()[1], text.splitlines()[4]
    assert len(row) + 1 == len(rule)  # one sign that takes two columns


def test_an_empty_model():
    assert "Total params: 0 (0.00 B)" in format_summary([], title="T", trainable_params=0)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0.00 B"), (1023, "1023.00 B"), (1024, "1.00 KB"), (5 * 2**20, "5.00 MB"), (2**50, "1024.00 TB")],
)
def test_bytes(count, text):
    assert format_bytes(count) == text
