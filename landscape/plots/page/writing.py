"""One file: the page from its templates, what it runs, what it draws, and the policy that lets it fetch nothing."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from landscape.plots import MARK

STATIC = Path(__file__).with_name("static")
SCRIPTS = ("tables.js", "theme.js", "pictures.js", "surfaces.js", "page.js")  # in this order
POLICY = "default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"  # noqa: E501


def written(**contents: Any) -> str:
    """Fill the templates.

    Every script is named to the browser by its hash: what names or origins may smuggle in does not run.

    Parameters
    ----------
    **contents
        What the template ``page.html`` tells; ``store`` becomes the JSON that the scripts draw from.
    """
    scripts = _scripts()
    arrays: dict[str, int] = {}
    store = _shared(contents.pop("store"), arrays)
    store = Markup(_json(store | {"arrays": list(arrays)}))
    return _environment().get_template("page.html").render(
        mark=MARK, policy=POLICY.format(scripts=" ".join(scripts)), scripts=list(scripts.values()), store=store,
        style=Markup((STATIC / "page.css").read_text(encoding="utf-8")), **contents,
    )  # fmt: skip


@cache
def _scripts() -> dict[str, Markup]:
    """Return what a page runs, by its hash: plotly.js, and what is ours."""
    from plotly.offline import get_plotlyjs

    ours = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return {_hash(script): Markup(script) for script in map(_plain, (get_plotlyjs(), ours))}  # noqa: S704 (ours)


def _environment() -> Environment:
    """Make an environment that escapes whatever it fills in, and that fails where a name is missing."""
    found = Environment(
        loader=PackageLoader(__package__ or "", "templates"), autoescape=select_autoescape(["html"], default=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    found.filters["transposed"] = lambda columns: zip(*columns, strict=True)
    return found


def _plain(script: str) -> str:
    """Keep a script from ending its own element."""
    return script.replace("</script", "<\\/script").replace("\r\n", "\n")


def _json(store: Any) -> str:
    """Write JSON that stays data wherever it stands in a page."""
    text = json.dumps(store, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def _shared(value: Any, arrays: dict[str, int]) -> Any:
    """Return JSON with every array in base64 replaced by its place among `arrays`, where each stands once."""
    if isinstance(value, dict):
        if "bdata" in value:
            return value | {"bdata": arrays.setdefault(value["bdata"], len(arrays))}
        return {name: _shared(inner, arrays) for name, inner in value.items()}
    return [_shared(inner, arrays) for inner in value] if isinstance(value, list) else value


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
