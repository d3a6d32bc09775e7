"""``dynsys info``: what a checkpoint holds."""

from __future__ import annotations

from typing import Any

import click

from dynsys.cli.options import choices_given, loading_options
from dynsys.cli.output import print_json
from dynsys.cli.place import PLACE
from dynsys.io.errors import printable


@click.command()
@click.argument("checkpoint", type=PLACE)
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(checkpoint: str, as_json: bool, **options: Any) -> None:
    """Tell what network a CHECKPOINT holds, how it was recognised, and what had to be assumed.

    A file of another tool may need to be told more; 'dynsys find' takes the same options.

    \b
    Examples:
      dynsys info model.pt
      dynsys info net.mat --form rate --matrix recurrent=params.J --matrix input=params.B --tau 10
    """
    from dynsys.models.loading.checkpoint import describe_checkpoint

    content = describe_checkpoint(checkpoint, **choices_given(options))
    if as_json:
        print_json(content)
        return
    for key, value in content.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {item}" for name, item in value.items()) or "-"
        lines = (value or ["-"]) if isinstance(value, list) else [value]
        for i, line in enumerate(lines):
            click.echo(f"{key if i == 0 else '':<16} {printable(str(line))}")
