"""The command line: a table of commands, and what all of them do about errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from darknet_compat import __version__
from darknet_compat.cli.arguments import command
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import DarknetCompatError
from darknet_compat.runtime.registry import ROWS
from darknet_compat.vision.opencv import quiet

_COMMANDS = (
    "info",
    "detect",
    "classify",
    "serve",
    "train",
    "export",
    "engine",
    "parity",
    "bench",
    "evaluate",
    "anchors",
    "partial",
    "fetch",
    "cache",
)
"""The verbs in the order of `--help`: each is the function of this name in the module of this name beside this one,
which imports what is heavy only inside it."""
_NOUNS = ("tree",)
"""What has verbs of its own: the table COMMANDS of the module of this name."""

_BROUGHT_BY = {
    **{package: row.extra for row in ROWS for package in row.packages},
    "av": "video",
    "cffi": "parity",
    "cv2": "vision",
    "fastapi": "serve",
    "matplotlib": "eval",
    "onnx": "onnx",
    "prometheus_client": "serve",
    "python_multipart": "serve",
    "sklearn": "digits",
    "trackers": "track",
    "uvicorn": "serve",
}
"""Packages that not every installation has → the extra that brings them."""

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended, as shells count it."""


class _Command(TyperCommand):
    """Shows `MODEL FILES...` in the usage line, where newer versions of typer put braces around them."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        options, *arguments = super().collect_usage_pieces(ctx)
        return [*(argument.strip("{}").replace("}...", "...") for argument in arguments), options]


class _Group(TyperGroup):
    """Turns what can be wrong with a user's input into one line on stderr and exit code 1; anything else is a bug of
    ours and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except DarknetCompatError as error:
            terminal.say(str(error))
        except ImportError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _BROUGHT_BY:
                raise
            absent = isinstance(error, ModuleNotFoundError) and error.name == package
            what = "is not installed" if absent else f"cannot be loaded: {str(error).splitlines()[0]}"
            terminal.say(f"{package} {what}; pip install 'darknet-compat[{_BROUGHT_BY[package]}]' brings it")
        except BrokenPipeError:
            raise
        except OSError as error:
            terminal.say(f"{error.filename or 'output'}: {error.strerror or error}")
        except MemoryError:
            terminal.say("not enough memory; a smaller --size or --batch needs less")
        except KeyboardInterrupt:
            terminal.say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        raise typer.Exit(1)


def application(verbs: Sequence[str] = (*_COMMANDS, *_NOUNS)) -> typer.Typer:
    """The command line with some verbs; to have but the one that runs halves the time until it does."""
    app = typer.Typer(
        cls=_Group,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # Plain text: typer's boxes of rich cost a tenth of a second, and do not survive `| grep`.
        rich_markup_mode=None,
        context_settings={"help_option_names": ["--help", "-h"]},
        epilog="`darknet-compat COMMAND --help` says more. Exit code: 0 for success, 1 for bad input, 2 for bad usage.",
    )
    app.callback()(_options)
    for verb in verbs:
        module = import_module(f"darknet_compat.cli.commands.{verb}")
        if verb in _COMMANDS:
            app.command(verb, cls=_Command)(command(getattr(module, verb)))
            continue
        below = typer.Typer(help=module.__doc__, no_args_is_help=True, rich_markup_mode=None)
        for name, function in module.COMMANDS.items():
            below.command(name, cls=_Command)(command(function))
        app.add_typer(below, name=verb)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"darknet-compat {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Run Darknet's .cfg and .weights in Python, with the numbers that the original gives."""


def main() -> None:
    """Run the command line of this process and exit."""
    for name in ("stdout", "stderr"):  # None where the shell has closed them
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal of another encoding shows \\xe9 for a letter it lacks, instead of a UnicodeEncodeError.
            stream.reconfigure(errors="backslashreplace")
    quiet.begin()
    asked = [verb for verb in (*_COMMANDS, *_NOUNS) if sys.argv[1:2] == [verb]]
    application(asked or (*_COMMANDS, *_NOUNS))(prog_name="darknet-compat")
