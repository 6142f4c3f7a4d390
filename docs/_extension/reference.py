"""The pages of the reference, written from what discovery finds: nothing is listed by hand that a file tells.

A probe has a page with its function, the arrays of its result and its plot; a command has its help; the rest of the
package has a page a room. A page that is as it was is not written again, so that sphinx builds what has changed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from landscape import discovery
from landscape import result as results
from landscape.cli import app, commands

FOLDER = "reference"
ROOMS = {  # folders of plug-ins: page -> where, heading, what it says first
    "methods": ("landscape.train.methods", "Training methods", "Composed with ``+``: ``sam:rho=0.1+swa``."),
    "models": ("landscape.models", "Networks", "Built by name (``--model``), or by a call."),
    "data": ("landscape.data", "Data sets", "Loaded by name (``--data``), or by a call."),
    "estimators": ("landscape.quantize.estimators", "Estimators", "What stands for the derivative of rounding."),
    "plots": ("landscape.plots", "Plots", "`landscape.draw` finds the plot of a result by its kind."),
    "interactive": ("landscape.plots.interactive", "Interactive figures", "The same with plotly, found the same way."),
}
MODULES = {  # pages about modules: page -> heading, modules in order
    "objective": ("Objective and data", ["objective", "dataset", "reading", "losses"]),
    "directions": ("Directions", ["directions", "frame", "vectors"]),
    "operators": ("Curvature operators", ["operators", "krylov", "density", "traces"]),
    "comparison": ("Comparison", ["comparison", "plots.page"]),
    "basins": ("Basins", ["basins.topology"]),
    "curves": ("Curves, permutations, posteriors", ["curves", "alignment.structure", "posterior"]),
    "checkpoints": ("Checkpoints and files", ["checkpoint", "importing", "result"]),
    "training": ("Training", ["train.run", "train.settings", "train.method", "train.step"]),
    "hooks": ("Training loops of yours", ["hooks", "hooks.listener"]),
    "quantization": ("Quantization", ["quantize.scheme", "quantize.quantization", "quantize.views"]),
    "figures": ("Figures", ["plots", "plots.figure", "plots.style", "plots.export", "plots.interactive"]),
}
LISTED = {f"landscape.{name}" for _, names in MODULES.values() for name in names}


def setup(sphinx: Any) -> dict[str, bool]:
    """Write the pages before sphinx reads its sources."""
    sphinx.add_config_value("reference_written", True, "env", bool, "Whether the pages are written, or there already.")
    sphinx.connect("config-inited", _written, priority=100)
    sphinx.connect("autodoc-process-signature", _short)
    sphinx.connect("doctree-read", _words)
    return {"parallel_read_safe": True}


def write(folder: Path) -> None:
    """Write all pages below a folder, and remove those of what is gone."""
    found = pages()
    for name, text in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for path in [*folder.rglob("*.rst"), *folder.rglob("*.md")]:
        if str(path.relative_to(folder)) not in found:
            path.unlink()


def pages() -> dict[str, str]:
    """Map every page of the reference to its text."""
    probes = {f"probes/{name}.rst": probe(name) for name in discovery.names("landscape.probes")}
    helps = {f"commands/{name}.md": command(name) for name in commands()}
    rooms = {f"{page}.rst": room(*told) for page, told in ROOMS.items()}
    modules = {f"{page}.rst": module(*told) for page, told in MODULES.items()}
    others = {"results.rst": kinds()}
    tables = {"probes.rst": table("Probes", probes), "commands.rst": table("Commands", helps)}
    first = {"index.rst": index([*tables, *others, *modules, *rooms])}
    return probes | helps | rooms | modules | others | tables | first


def probe(name: str) -> str:
    """Write the page of a probe: how to call it, what comes back, how it is drawn."""
    function = discovery.member("landscape.probes", name)
    link = f"As a command: :doc:`landscape {name} <../commands/{name}>`."
    parts = [titled(name), link, _auto("function", f"landscape.{name}")]
    parts += [kind(cls) for cls in _kinds() if cls.__module__ == function.__module__]
    for where, words in (("landscape.plots", "Plot"), ("landscape.plots.interactive", "Interactive figure")):
        if name in discovery.names(where) and hasattr(import_module(f"{where}.{name}"), name):
            parts += [titled(words, "-"), f"`{where}.{name}.{name}`"]
    return _joined(parts)


def kinds() -> str:
    """Write the page about results: what all have in common, and those that no probe returns."""
    apart = (*LISTED, *(f"landscape.probes.{name}" for name in discovery.names("landscape.probes")))
    elsewhere = [cls for cls in _kinds() if not f"{cls.__module__}.".startswith(tuple(f"{name}." for name in apart))]
    ordered = sorted(_kinds(), key=lambda cls: cls.__name__)
    links = [f"* `{cls.__module__}.{cls.__name__}`: {_plain(_first(cls))}" for cls in ordered]
    intro = "What a probe measures, with names, axes and units, in memory and in an HDF5 file: see :doc:`/files`."
    return _joined([titled("Results"), intro, "\n".join(links), *[kind(cls) for cls in elsewhere]])


def kind(cls: type[results.Result]) -> str:
    """Write what a kind of result holds: its arrays as they are declared, then what it can tell of them."""
    own = [name for name in vars(results.Result) if not name.startswith("_") and name not in ("figures", "remarks")]
    names = [
        name for name in dir(cls)
        if not name.startswith("_") and name not in own and name not in cls.declared() and name not in _fields(cls)
        and getattr(cls, name) is not getattr(results.Result, name, None)
    ]  # fmt: skip
    return _joined([
        titled(cls.__name__, "-"),
        _auto("class", f"{cls.__module__}.{cls.__name__}", members=names),
        arrays(cls),
    ])


def arrays(cls: type[results.Result]) -> str:
    """Write the table of the arrays of a kind of result, from their declarations."""
    rows = [("array", "axes", "unit", "meaning")]
    for name, meta in cls.declared().items():
        inside = f" (``{meta['name']}`` in the file)" if meta["name"] else ""
        said = _plain(meta["meaning"]) + (" (where measured)" if meta["optional"] else "")
        rows.append((f"``{name}``{inside}", _plain(", ".join(meta["dims"])), _plain(meta["unit"]), said))
    return _listed(rows) if len(rows) > 1 else ""


def room(where: str, heading: str, intro: str) -> str:
    """Write the page of a folder of plug-ins: what every file is known by."""
    found = [path for path in (f"{where}.{name}" for name in discovery.names(where)) if path not in LISTED]
    found = [path for path in found if hasattr(import_module(path), path.rpartition(".")[2])]
    paths = [f"{path}.{path.rpartition('.')[2]}" for path in found]
    return _joined([titled(heading), intro, _summary(paths), *[_auto(_sort(path), path) for path in paths]])


def module(heading: str, names: list[str]) -> str:
    """Write a page about modules: their public functions and classes."""
    parts = [titled(heading)]
    for name in [f"landscape.{name}" for name in names]:
        paths = [f"{name}.{one}" for one in public(name)]
        parts += [titled(name, "-"), _plain(_first(import_module(name))), _summary(paths)]
        parts += [_described(path) for path in paths]
    return _joined(parts)


def _described(path: str) -> str:
    """Describe a function or class; of a kind of result, its arrays too."""
    thing = getattr(import_module(path.rpartition(".")[0]), path.rpartition(".")[2])
    return kind(thing) if thing in _kinds() and thing.declared() else _auto(_sort(path), path, members=True)


def public(name: str) -> list[str]:
    """Name what a module offers: what it lists, or else the functions and classes that are its own."""
    found = import_module(name)
    own = [one for one, value in vars(found).items() if getattr(value, "__module__", "") == name]
    listed = getattr(found, "__all__", None) or [one for one in own if not one.startswith("_")]
    things = {one: getattr(found, one) for one in listed}
    return [
        one for one, thing in things.items()
        if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__ not in LISTED - {name}
    ]  # fmt: skip


def command(name: str) -> str:
    """Write the help of a command."""
    text = app([name])[name].generate_docs(output_format="markdown", usage_name=f"landscape {name}")
    text = re.sub(r", --empty-[\w-]+(?=`)", "", text)  # the command line has none of these
    text = re.sub(r" \*\[default: (?:False|\(\))\]\*", "", text)
    text = re.sub(r"\*\[(default|choices): (.*?)\]\*(?=\s)", r"(\1: `\2`)", text)  # a default of * is no markup
    return f"# landscape {name}\n" + text.partition("\n")[2].rstrip() + "\n"


def table(heading: str, found: Iterable[str]) -> str:
    """Write a page that leads to others, one line each."""
    rows = []
    for page in found:
        where, _, name = page.partition(".")[0].partition("/")
        rows.append((f":doc:`{name} <{where}/{name}>`", _plain(commands()[name][0])))
    return _joined([titled(heading), _listed([("name", "what it does"), *rows]), _tree(found)])


def index(found: Iterable[str]) -> str:
    """Write the first page of the reference."""
    return _joined([titled("Reference"), _tree(found, shown=True)])


def titled(words: str, line: str = "=") -> str:
    """Write a heading."""
    return f"{words}\n{line * len(words)}"


def _kinds() -> list[type[results.Result]]:
    for where in results.ROOMS:
        for name in discovery.names(where):
            import_module(f"{where}.{name}")
    return [cls for cls in results.Result.kinds.values() if cls.__module__.startswith("landscape.")]


def _fields(cls: type) -> set[str]:
    return set(getattr(cls, "__dataclass_fields__", ()))


def _sort(path: str) -> str:
    where, _, name = path.rpartition(".")
    return "class" if inspect.isclass(getattr(import_module(where), name)) else "function"


def _auto(sort: str, path: str, *, members: Iterable[str] | bool = ()) -> str:
    lines = [f".. auto{sort}:: {path}"]
    if sort == "class" and members:
        lines.append("   :members:" + ("" if members is True else f" {', '.join(members)}"))
    return "\n".join(lines)


def _summary(paths: list[str]) -> str:
    return "\n".join([".. autosummary::", "   :nosignatures:", "", *[f"   ~{path}" for path in paths]]) if paths else ""


def _listed(rows: Iterable[tuple[str, ...]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'* -' if column == 0 else '  -'} {cell}".rstrip() for column, cell in enumerate(row)]
    return "\n".join(lines)


def _tree(found: Iterable[str], *, shown: bool = False) -> str:
    options = ["   :maxdepth: 1"] if shown else ["   :hidden:"]
    return "\n".join([".. toctree::", *options, "", *[f"   {page.rpartition('.')[0]}" for page in found]])


def _first(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _plain(words: str) -> str:
    """Write words that are not markup."""
    return re.sub(r"([*|\\]|_(?=\W|$)|(?<!`)`(?!`))", r"\\\1", words)


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _short(sphinx: Any, what: str, name: str, thing: Any, *_: Any) -> tuple[str, str] | None:
    """Leave the signature of a result out: its arrays stand in a table."""
    return ("", "") if what == "class" and isinstance(thing, type) and issubclass(thing, results.Result) else None


def _written(sphinx: Any, config: Any) -> None:
    if config.reference_written:
        write(Path(sphinx.srcdir) / FOLDER)


def _words(sphinx: Any, doctree: Any) -> None:
    """Let the words of a type, as in "Tensor of shape (D,)", be words: they are no names to lead to."""
    from sphinx.addnodes import pending_xref

    for node in list(doctree.findall(pending_xref)):
        if node.get("refspecific") and node["reftarget"].islower():
            node.replace_self(node.children)
