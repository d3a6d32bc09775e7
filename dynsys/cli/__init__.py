"""The command line: a thin skin over the library, one file per command, nothing heavy imported before a body runs."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.demo import demo
from dynsys.cli.find import find
from dynsys.cli.info import info
from dynsys.cli.portrait import portrait
from dynsys.cli.train import train

EXPECTED = (ValueError, OSError, FloatingPointError, MemoryError)  # a user's mistake or a machine's limit: one line


class OneLineErrors(click.Group):
    """A group whose commands end in one clear line where the library raised, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            click.echo(f"\nInterrupted. {_kept(interrupt)}", err=True)
            ctx.exit(130)
        except EXPECTED as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(_one_line(error)) from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _kept(interrupt: KeyboardInterrupt) -> str:
    return str(interrupt) or "What was finished before is kept; nothing was left half-written."


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dynsys-rnn", prog_name="dynsys")
def main() -> None:
    """What has a trained recurrent network learned?

    dynsys treats it as a dynamical system: it finds the fixed and slow points, tells how stable each is, and draws
    the phase portrait.

    \b
    Example, from nothing to a portrait:
      dynsys demo
    """


for command in (demo, train, info, find, portrait):
    main.add_command(command)
