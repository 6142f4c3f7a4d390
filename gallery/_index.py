"""Write the index of the gallery: index.html, one page that needs nothing but the figures beside it, and README.md."""

from __future__ import annotations

import ast
import html
import re
from dataclasses import dataclass
from pathlib import Path

import _gallery

HERE = Path(__file__).parent
TITLE = "Gallery"
ABOUT = (
    "Each figure opens with a question and a published claim, is made by one script on data that every machine has, "
    "and ends with a verdict that is computed, from paired tests where there are several networks. A claim that fails "
    "at this scale is told as failing; it may hold at another."
)
STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #ffffff; --quiet: #5a5a5a; --line: #d8d8d8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b; --quiet: #a8a8a8; --line: #3a3d42; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.55 system-ui, sans-serif; }
article { border-top: 1px solid var(--line); padding: 1rem 0 2rem; }
h1, h2 { line-height: 1.2; }
h2 { font-size: 1.3rem; }
img { display: block; width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
code { font-size: 0.9em; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); }
nav ul { columns: 20rem; padding-left: 1.2rem; }
a { color: inherit; }
@media print { nav { display: none; } article { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Entry:
    """What the index tells of a script: its question and claim, and what its report says."""

    name: str
    question: str
    claim: str
    alt: str
    verdict: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that makes the figure again."""
        return f"python gallery/{self.name}.py --again"


def scripts(folder: Path = HERE) -> list[Path]:
    """Find the scripts of the gallery that have been run; files whose names begin with an underscore are none."""
    found = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    return [path for path in found if path.with_suffix(".md").exists()]


def entry(script: Path) -> Entry:
    """Read what a script asks and what its report found."""
    question, claimed = _gallery.asked(ast.get_docstring(ast.parse(script.read_text())) or "")
    told = script.with_suffix(".md").read_text()
    alt = re.search(rf"!\[([^\]]*)\]\({re.escape(script.stem)}\.png\)", told)
    return Entry(script.stem, question, claimed, alt[1] if alt else question, tuple(verdict(told)))


def verdict(told: str) -> list[str]:
    """Return the lines of a report that tell what became of its claims, each as one."""
    last = told.partition("## Verdict")[2]
    return [" ".join(line.split()) for line in re.findall(r"^- (.*(?:\n  .*)*)", last, re.MULTILINE)]


def page(entries: list[Entry]) -> str:
    """Write the page."""
    links = "\n".join(f'<li><a href="#{one.name}">{html.escape(one.question)}</a></li>' for one in entries)
    body = "\n".join(map(article, entries))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}: loss landscapes</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{TITLE}</h1>
<p>{html.escape(ABOUT)}</p>
<nav aria-label="Figures">
<ul>
{links}
</ul>
</nav>
<main>
{body}
</main>
</body>
</html>
"""


def article(one: Entry) -> str:
    """Write what the page tells of one script."""
    outcomes = "\n".join(f"<li>{marked(line)}</li>" for line in one.verdict)
    return f"""<article id="{one.name}">
<h2>{html.escape(one.question)}</h2>
<p>{html.escape(one.claim)}</p>
<a href="{one.name}.png"><img src="{one.name}.png" alt="{html.escape(one.alt)}" loading="lazy"></a>
<ul>
{outcomes}
</ul>
<p class="quiet"><code>{html.escape(one.command)}</code> · <a href="{one.name}.md">numbers</a> ·
<a href="{one.name}.h5">data</a> · <a href="{one.name}.py">script</a></p>
</article>"""


def marked(line: str) -> str:
    """Turn the emphasis of a line of markdown into HTML."""
    line = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(line))
    return re.sub(r"\*(.+?)\*", r"<em>\1</em>", line)


def readme(entries: list[Entry]) -> str:
    """Write the list of figures for those who read the repository."""
    lines = [f"# {TITLE}", "", _gallery.filled(ABOUT), ""]
    lines += [_gallery.filled("""
        `make gallery` makes what is missing; `python gallery/NAME.py` draws NAME from the data beside it, and `--again`
        measures anew. [index.html](index.html) shows all figures on one page.
    """), ""]  # fmt: skip
    for one in entries:
        lines += [f"## [{one.question}]({one.name}.md)", "", f"![{one.alt}]({one.name}.png)", ""]
        lines += [*(_gallery.filled(f"- {line}") for line in one.verdict), ""]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Write both."""
    entries = [entry(script) for script in scripts()]
    (HERE / "index.html").write_text(page(entries))
    (HERE / "README.md").write_text(readme(entries))
    print(f"{HERE / 'index.html'}, {HERE / 'README.md'}: {len(entries)} figures")


if __name__ == "__main__":
    main()
