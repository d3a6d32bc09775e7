"""``dynsys info``: what a checkpoint holds."""

from __future__ import annotations

import click

from dynsys.cli.output import print_json


@click.command()
@click.argument("checkpoint")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(checkpoint: str, as_json: bool) -> None:
    """Tell what network a CHECKPOINT holds, and how it was recognised.

    \b
    Example:
      dynsys info runs/flipflop/checkpoint.safetensors
    """
    from dynsys.models.checkpoint import describe_checkpoint

    content = describe_checkpoint(checkpoint)
    if as_json:
        print_json(content)
        return
    for key, value in content.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {item}" for name, item in value.items()) or "-"
        click.echo(f"{key:<16} {value}")
