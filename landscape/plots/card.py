"""Cards: what a thing is in a few lines of HTML, for notebooks; they bear the colours of the page they stand on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

ROWS = 40  # of a table: what is longer is in the result
LOOK = """
.landscape-card {font: 13px/1.45 system-ui, sans-serif; color: inherit; border: 1px solid #8884; border-radius: 6px;
  padding: .6em .9em; max-width: 60em; overflow-x: auto}
.landscape-card table {border-collapse: collapse; margin: .4em 0; color: inherit; background: none; font-size: inherit}
.landscape-card th, .landscape-card td {text-align: left; padding: .1em 1em .1em 0; border: 0; background: none;
  vertical-align: top; font-variant-numeric: tabular-nums}
.landscape-card th {font-weight: 600; opacity: .7}
.landscape-card img {display: block; max-width: 100%; margin: .6em 0; background: #fff; border-radius: 3px}
.landscape-card summary {cursor: pointer; opacity: .8}
.landscape-card pre {max-height: 24em; overflow: auto; font-size: 11px; white-space: pre-wrap}
.landscape-card p {margin: .3em 0}
""".strip()


def card(title: str, rows: Mapping[str, object] | None = None, *parts: str, under: Sequence[str] = ()) -> str:
    """Lay out a card: a heading, what is known line by line, and further parts that are HTML already.

    Parameters
    ----------
    title : str
        The heading, in plain text.
    rows : mapping, optional
        Names and what is known of them, in plain text.
    *parts : str
        Of `table`, `folded` or `paragraph`.
    under : sequence of str
        Lines below the heading, in plain text.

    Examples
    --------
    >>> "&lt;b&gt;" in card("<b>")
    True
    """
    told = table((), [(name, value) for name, value in rows.items()]) if rows else ""
    lines = [f"<strong>{escape(title)}</strong>", *[paragraph(line) for line in under], told, *parts]
    body = "\n".join(line for line in lines if line)
    return f'<div class="landscape-card"><style>{LOOK}</style>\n{body}\n</div>'


def table(head: Iterable[object], rows: Sequence[Iterable[object]], *, most: int = ROWS) -> str:
    """Write a table of plain texts; empty without rows. What is longer than `most` rows is cut, and says so."""
    if not rows:
        return ""
    top = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in head)
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows[:most]]
    if len(rows) > most:
        lines.append(f"<td>… {len(rows) - most} more</td>")
    whole = [f"<tr>{line}</tr>" for line in ([top] if top else []) + lines]
    return "<table>\n" + "\n".join(whole) + "\n</table>"


def folded(summary: str, body: str, *, unfolded: bool = False) -> str:
    """Fold HTML away under a line of plain text; empty where there is nothing to fold."""
    shown = " open" if unfolded else ""
    return f"<details{shown}><summary>{escape(summary)}</summary>\n{body}\n</details>" if body else ""


def paragraph(words: str) -> str:
    """Write a line of plain text."""
    return f"<p>{escape(words)}</p>"
