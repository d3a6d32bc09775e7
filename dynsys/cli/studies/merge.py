"""``dynsys merge``: the rows of shards, or of several folders, in one file."""

from __future__ import annotations

import click

from dynsys.cli.output import print_json
from dynsys.cli.place import PLACE


@click.command()
@click.argument("folders", nargs=-1, required=True, type=PLACE, metavar="FOLDER...")
@click.option("-o", "--out", type=PLACE, help="Folder to write the rows into.  [the first FOLDER]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def merge(folders: tuple[str, ...], out: str | None, as_json: bool) -> None:
    """Bring together what the shards of a study (--shard i/n) have done, from one folder or from several.

    Afterwards the study's own command, with that folder and without --shard, writes its report from these rows, and
    does what is still missing.

    \b
    Example:
      dynsys merge runs/noise
    """
    from dynsys.sweep import merge as merge_rows

    merged = merge_rows(folders, out)
    if as_json:
        print_json({"schema": "dynsys.merged/1", "files": [file.about() for file in merged]})
        return
    for file in merged:
        click.echo(f"{file}.")
