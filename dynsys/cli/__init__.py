"""The command line: a thin skin over the library, one file per command, nothing heavy imported before a body runs."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

__all__ = ["VERBS", "command", "main"]

VERBS = {  # the module of each command, which calls it by that name
    "basins": "dynsys.cli.networks.basins",
    "compare": "dynsys.cli.networks.compare",
    "demo": "dynsys.cli.studies.demo",
    "evolve": "dynsys.cli.studies.evolve",
    "exponents": "dynsys.cli.networks.exponents",
    "find": "dynsys.cli.networks.find",
    "flip": "dynsys.cli.networks.flip",
    "grid": "dynsys.cli.studies.grid",
    "info": "dynsys.cli.networks.info",
    "inputs": "dynsys.cli.networks.inputs",
    "memory": "dynsys.cli.studies.memory",
    "merge": "dynsys.cli.studies.merge",
    "noise": "dynsys.cli.studies.noise",
    "persistence": "dynsys.cli.networks.persistence",
    "portrait": "dynsys.cli.networks.portrait",
    "report": "dynsys.cli.networks.report",
    "retrieve": "dynsys.cli.studies.retrieve",
    "selection": "dynsys.cli.networks.selection",
    "survey": "dynsys.cli.studies.survey",
    "train": "dynsys.cli.studies.train",
    "transfer": "dynsys.cli.studies.transfer",
}

LONGEST = 1000  # letters of a sentence

# A user's mistake or a machine's limit: one line. Click's own ways out and a closed pipe are neither.
EXPECTED = (ValueError, OSError, ArithmeticError, MemoryError, RuntimeError)
PASSED_ON = (click.exceptions.Exit, click.Abort, BrokenPipeError)


def __dir__() -> list[str]:
    return __all__


def command(verb: str) -> click.Command:
    """One of ``VERBS``."""
    found: click.Command = getattr(importlib.import_module(VERBS[verb]), verb)
    return found


class Verbs(click.Group):
    """Commands that end in one clear line where the library raised, never in a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return command(cmd_name) if cmd_name in VERBS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The whole first sentence of each, however long."""
        sentences = [(verb, command(verb).get_short_help_str(LONGEST)) for verb in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(sentences)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        _open_streams()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            what = f"{interrupt}, which are written".capitalize() if str(interrupt) else "Interrupted"
            click.echo(f"\n{what}. What was finished before is kept, and nothing is half-written.", err=True)
            ctx.exit(130)
        except PASSED_ON:
            raise
        except EXPECTED as error:
            raise click.ClickException(_one_line(error)) from error


def _open_streams() -> None:
    """Give standard streams that were closed (2>&-) a place where nothing is kept.

    Else the next file that is opened would get their number, and with it whatever a library says on stderr.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: SIM115 (for as long as the process lives)
            os.set_inheritable(stream.fileno(), True)  # by workers
            setattr(sys, name, stream)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dynsys-rnn", prog_name="dynsys")
def main() -> None:
    """What has a trained recurrent network learned?

    dynsys treats it as a dynamical system: it finds the fixed and slow points, tells how stable each is, and draws
    the phase portrait.

    \b
    Example, from nothing to a portrait:
      dynsys demo
    """
