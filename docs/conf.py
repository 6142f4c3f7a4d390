"""How the documentation is built: `make docs`, or `python -m sphinx -W docs docs/_build`."""

import sys
from pathlib import Path

from landscape import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extension"))

project = "landscape"
author = "the authors of landscape"
copyright = author
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "myst_parser",
    "reference",
]
exclude_patterns = ["_build"]
default_role = "py:obj"  # a name between backticks is a link where there is something to lead to
smartquotes = False  # "auto" is what one types

napoleon_google_docstring = False
napoleon_use_ivar = True  # what a class tells of its attributes does not stand twice
napoleon_use_rtype = False
autosummary_generate = False  # pages come from `reference`
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say the types, with shapes
python_maximum_signature_line_length = 88
myst_heading_anchors = 3

html_theme = "furo"
html_title = "landscape"
html_copy_source = False
html_show_sphinx = False
