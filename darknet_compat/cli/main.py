"""The command line: a table of commands, and what all of them do about errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from darknet_compat import __version__
from darknet_compat.cli import commands
from darknet_compat.cli.arguments import command
from darknet_compat.cli.terminal.failures import exit_code, remarks_said_once, standard_streams
from darknet_compat.errors import DarknetCompatError

_ORDER = [
    "info",
    "detect",
    "classify",
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
    "serve",
    "darknet",
]
"""How `--help` lists verbs; others follow by the alphabet."""
_SETTINGS = {
    "darknet": {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []},
}
"""Verbs whose words are not typer's to understand."""


def verbs() -> list[str]:
    """Every file of `commands` that begins with no underscore: it has the function of its name, which imports what is
    heavy only inside it, or verbs of its own, the table COMMANDS."""
    found = [one.name for one in iter_modules(commands.__path__) if not one.name.startswith("_")]
    return sorted(found, key=lambda verb: (_ORDER.index(verb) if verb in _ORDER else len(_ORDER), verb))


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
            with remarks_said_once():
                return super().invoke(ctx)
        except (DarknetCompatError, ImportError, OSError, MemoryError, KeyboardInterrupt) as error:
            raise typer.Exit(exit_code(error)) from None


def application(asked: Sequence[str] | None = None) -> typer.Typer:
    """The command line with all verbs, or those `asked` for; to have but the one that runs halves the time until it
    does."""
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
    for verb in asked or verbs():
        module = import_module(f"{commands.__name__}.{verb}")
        if not hasattr(module, "COMMANDS"):
            app.command(verb, cls=_Command, context_settings=_SETTINGS.get(verb))(command(getattr(module, verb)))
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
    with standard_streams():
        application([verb for verb in verbs() if sys.argv[1:2] == [verb]])(prog_name="darknet-compat")
