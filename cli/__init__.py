"""The command ``landscape``: one file a command, and one command for each probe."""

from __future__ import annotations

import ast
import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from landscape import __version__, discovery

FAILED, USAGE, INTERRUPTED = 1, 2, 130
GO_ON = "interrupted; what was done is kept: run the same command again to go on."
EXPECTED = (ValueError, OSError, ImportError)  # errors that the user can mend: one line, no traceback


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 an error that the user can mend, 2 no such command,
    130 interrupted.

    Errors and warnings are one line each on standard error; ``LANDSCAPE_DEBUG=1`` shows the traceback.
    """
    warnings.formatwarning = lambda message, *_, **__: f"landscape: warning: {_line(message)}\n"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ± is no reason to fail
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    import cyclopts

    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words)(words, exit_on_error=False, print_error=False, result_action="return_none")
        sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        error.verbose = False  # the verbose text is about our Python functions
        command = _command(words)
        return _told(f"{_line(error)} See landscape {command}--help.", FAILED if command else USAGE)
    except KeyboardInterrupt as error:
        return _told(_line(error) if str(error) else GO_ON, INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to flush goes nowhere
        return FAILED
    except EXPECTED as error:
        if os.environ.get("LANDSCAPE_DEBUG"):
            raise
        return _told(_line(error), FAILED)
    return 0


def app(words: Sequence[str] = ()) -> Any:
    """Build the command line; only the command that `words` name is imported."""
    import cyclopts

    root = cyclopts.App(
        "landscape",
        help="Measure the loss landscape of neural networks and draw it.",
        version=__version__,
        suppress_keyboard_interrupt=False,
        default_parameter=cyclopts.Parameter(negative=()),
    )
    for name, (summary, make) in commands().items():
        wanted = bool(words) and words[0] == name
        command = cyclopts.App(name, help=None if wanted else summary)
        if wanted:
            command.default(make())
        root.command(command)
    return root


@cache
def commands() -> dict[str, tuple[str, Any]]:
    """Map every command to its one-line summary and to what imports its function."""
    found = {}
    for name in discovery.names("landscape.probes"):
        found[name] = (_summary("landscape.probes", name), partial(_of_probe, name))
    for name in discovery.names("landscape.cli"):  # import_ stands for import, which Python keeps for itself
        found[name.rstrip("_")] = (_summary("landscape.cli", name), partial(discovery.member, "landscape.cli", name))
    return dict(sorted(found.items()))


def _of_probe(name: str) -> Any:
    from landscape.cli._probe import command

    return command(name)


def _summary(package: str, name: str) -> str:
    """Read the first line of the docstring of the function that a file is named for, without importing it."""
    spec = importlib.util.find_spec(f"{package}.{name}")  # imports the package alone
    if spec is None or spec.origin is None:
        raise ImportError(f"Expected a file {name}.py in {package}, got none.")
    tree = ast.parse(Path(spec.origin).read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    words = ast.get_docstring(functions[0]) if functions else None
    return (words or "").partition("\n")[0]


def _told(words: str, code: int) -> int:
    print(f"landscape: {words}", file=sys.stderr)
    return code


def _command(words: Sequence[str]) -> str:
    return f"{words[0]} " if words and words[0] in commands() else ""


def _line(error: BaseException | str) -> str:
    return " ".join(str(error).split()) or type(error).__name__
