"""A comparison as a table: CSV, LaTeX for booktabs, Markdown, and plain text."""

from __future__ import annotations

import csv as writer
import io
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from landscape.plots import certain, measured
from landscape.plots.blocks import Block, Cell, blocks
from landscape.plots.footnotes import footnotes
from landscape.plots.latex import written
from landscape.plots.summary import columns

if TYPE_CHECKING:
    from landscape.comparison import Comparison

TEXT = 5.5  # inches that a table may be wide
SIZES = {r"\small": 9.0, r"\footnotesize": 8.0, r"\scriptsize": 7.0}  # points
LETTER, BETWEEN = 0.5, 2  # width of a letter in widths of its type; letters that are as wide as the gap of columns
NARROW = 14  # letters of one line of a column's name
TOKEN = re.compile(r"(?:(?<!\\)\$(?:[^$\\]|\\.)*\$|\S)+")  # words; a piece of mathematics is within one
MARKDOWN = {sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|$"} | {"&": "&amp;"}
WIDE, ACROSS = 118, 4  # of plain text: letters of a line, columns of numbers
TALL, AROUND = 48, 4  # lines of one float, and those around the rows of a table


class Signs(NamedTuple):
    """How a format marks what is best, and what has no known error."""

    best: str
    unknown: str


def csv(result: Comparison) -> str:
    """Write a row for each network and width, with value, error and mark of every measure in columns of their own.

    Numbers are written so that reading them gives the same floats back, in the units that are stored: accuracies are
    fractions. What was not measured is an empty cell, and so is an error that is not known.
    """
    names = [str(name) for name in result.measure]
    units = [f" [{unit}]" if unit else "" for unit in result.unit.tolist()]
    head = [f"{name}{end}{unit}" for name, unit in zip(names, units, strict=True) for end in ("", " error")]
    marks = [f"{name} best" for name, side in zip(names, result.better.tolist(), strict=True) if side]
    marked = [j for j, side in enumerate(result.better.tolist()) if side]
    best, file = result.best, io.StringIO()
    table = writer.writer(file, lineterminator="\n")
    table.writerow(["network", "bits", *head, *marks])
    for i, name in enumerate(result.network.tolist()):
        numbers = [_float(part[i, j]) for j in range(len(names)) for part in (result.value, result.error)]
        table.writerow([name, _float(result.bits[i]), *numbers, *(int(best[i, j]) for j in marked)])
    return file.getvalue()


def latex(result: Comparison) -> str:
    r"""Write floats with captions, for the package booktabs; see `landscape.plots.blocks.blocks` for what stands where.

    The best is bold, what was not measured an en dash. Type is the largest of small, footnote and script size in which
    the table is no wider than 5.5 inches. The first caption says what errors are and when a number is marked.
    """
    found = _floats(blocks(result))
    notes = " ".join(written(note) for note in footnotes(result))
    captions = [f"{_title(result)} {notes}", *[f"{_title(result)} (continued)"] * (len(found) - 1)]
    floats = (_float_of(tables, caption) for tables, caption in zip(found, captions, strict=True))
    return "\n\n".join([r"% \usepackage{booktabs}", *floats])


def markdown(result: Comparison) -> str:
    """Write tables of GitHub's Markdown; the best is bold, what was not measured an en dash."""
    signs = Signs("**{}**", "†")
    parts = []
    for block in blocks(result):
        rows = _rows(block, signs, _escaped)
        rule = ["---"] + ["---:"] * (len(rows[0]) - 1)
        parts.append("\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]]))
    notes = (_escaped(measured.plain(note)) for note in footnotes(result, unknown="†"))
    return "\n\n".join([*parts, "\n".join(notes)])


def text(result: Comparison) -> str:
    """Write aligned columns for a terminal: the best has a star, what was not measured is an en dash."""
    signs = Signs("{} *", "†")
    parts = ["\n".join(columns(_rows(block, signs, str))) for block in blocks(result, across=ACROSS)]
    notes = footnotes(result, mark="*", unknown="†")
    lines = [line for note in notes for line in textwrap.wrap(measured.plain(note), WIDE)]
    return "\n\n".join([_title(result), *parts, "\n".join(lines)])


def _rows(block: Block, signs: Signs, escape: Callable[[str], str]) -> list[list[str]]:
    """Return header and rows of cells; widths stand in a column of their own, or in the header."""
    known = len(block.groups) > 1 or bool(block.groups[0][0])
    spans = [name for name, count in block.spans for _ in range(count)] or [""] * len(block.head)
    names = [
        escape(", ".join(part for part in (measured.plain(label), span) if part)) + (f" [{unit}]" if unit else "")
        for (label, unit), span in zip(block.head, spans, strict=True)
    ]
    rows = [[block.corner, *["weights"] * known, *names]]
    for name, group in block.groups:
        for label, unit, cells in group:
            words = escape(measured.plain(label)) + (f" [{unit}]" if unit else "")
            rows.append([words, *[name] * known, *(_plain(cell, signs) for cell in cells)])
    return rows


def _plain(cell: Cell, signs: Signs) -> str:
    words = certain.plain(cell.number) + signs.unknown * cell.unknown
    return signs.best.format(words) if cell.best else words


def _escaped(words: str) -> str:
    return "".join(MARKDOWN.get(sign, sign) for sign in words)


def _float(value: float) -> str:
    return "" if value != value else repr(float(value))


def _title(result: Comparison) -> str:
    count, widths = len(set(result.network.tolist())), len(set(result.bits.tolist()))
    networks = "One network" if count == 1 else f"{count} networks"
    return f"{networks}, measured alike" + (f" at {widths} widths of their weights." if widths > 1 else ".")


def _floats(found: list[Block]) -> list[list[Block]]:
    """Put as many tables into each float as a page has room for."""
    floats: list[list[Block]] = [[]]
    for block in found:
        if floats[-1] and sum(map(_lines, [*floats[-1], block])) > TALL:
            floats.append([])
        floats[-1].append(block)
    return floats


def _lines(block: Block) -> int:
    return AROUND + sum(len(rows) + bool(name) for name, rows in block.groups)


def _float_of(found: list[Block], caption: str) -> str:
    """Write tables below one another, with one caption."""
    sizes = [_size(block) for block in found]
    size = next(size for size in reversed(SIZES) if size in sizes)
    head = [r"\begin{table}[t]", r"\centering", rf"\caption{{{caption}}}", r"\smallskip"]
    tables = "\n\n\\medskip\n".join(_tabular(block) for block in found)
    return "\n".join([*head, rf"{size}\setlength{{\tabcolsep}}{{4pt}}", tables, r"\end{table}"])


def _tabular(block: Block) -> str:
    form = rf"\begin{{tabular}}{{@{{}}l{'r' * len(block.head)}@{{}}}}"
    rows = [r"\toprule", *_header(block), r"\midrule", *_body(block), r"\bottomrule"]
    return "\n".join([form, *rows, r"\end{tabular}"])


def _header(block: Block) -> list[str]:
    lines = []
    if block.spans:
        cells = [rf"\multicolumn{{{count}}}{{c}}{{{name}}}" for name, count in block.spans]
        ends, rules = 1, []
        for _, count in block.spans:
            rules.append(rf"\cmidrule(lr){{{ends + 1}-{ends + count}}}")
            ends += count
        lines += [" & ".join(["", *cells]) + r" \\", "".join(rules)]
    return [*lines, " & ".join([block.corner, *(_stacked(*label) for label in block.head)]) + r" \\"]


def _body(block: Block) -> Iterator[str]:
    """Write rows, those of a group below its name."""
    for index, (name, rows) in enumerate(block.groups):
        if name:
            yield from [r"\addlinespace"] * (index > 0)
            yield rf"\multicolumn{{{len(block.head) + 1}}}{{@{{}}l}}{{\itshape {written(name)}}} \\"
        for label, unit, cells in rows:
            words = written(label) + (rf" [{written(unit)}]" if unit else "")
            numbers = (certain.latex(cell.number, bold=cell.best) + r"$^\dagger$" * cell.unknown for cell in cells)
            yield " & ".join([_first(words), *numbers]) + r" \\"


def _stacked(label: str, unit: str) -> str:
    """Break the name of a column into short lines, the unit on the last one."""
    lines = [""]
    for word in TOKEN.findall(label):
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if len(measured.plain(longer)) <= NARROW else [*lines, word]
    lines = [_first(written(line)) for line in [*lines, f"[{unit}]" if unit else ""] if line]
    return lines[0] if len(lines) == 1 else r"\shortstack[r]{" + r"\\".join(lines) + "}"


def _first(words: str) -> str:
    r"""Guard what a line begins with: after ``\\``, LaTeX takes a bracket or a star for its own."""
    return f"{{}}{words}" if words[:1] in ("[", "*") else words


def _size(block: Block) -> str:
    """Choose the type in which a table fits the page."""
    labels = [label for _, rows in block.groups for label in rows]
    first = max(len(measured.plain(label)) + len(unit) + 3 * bool(unit) for label, unit, _ in labels)
    rest = [
        max([len(certain.plain(cells[k].number)) for *_, cells in labels] + [min(NARROW, len(measured.plain(head)))])
        for k, (head, _) in enumerate(block.head)
    ]
    letters = first + sum(rest) + BETWEEN * len(rest)
    fits = (size for size, points in SIZES.items() if letters * LETTER * points / 72 <= TEXT)
    return next(fits, list(SIZES)[-1])
