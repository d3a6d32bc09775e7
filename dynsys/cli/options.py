"""Options that several commands share: what a file of another tool does not say itself, and who does a study's work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class Named(click.ParamType[tuple[str, str]]):
    """NAME=KEY as a pair; an empty key says that there is no such array."""

    name = "name=key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        role, found, key = str(value).partition("=")
        if not found or not role:
            self.fail(f"{value!r} is not of the form NAME=KEY, like recurrent=W", param, ctx)
        return role.strip().replace("-", "_"), key.strip()


_OPTIONS = (
    click.option("--activation", help="f of the network: tanh, relu or, for rates, logistic. Weights do not tell it."),
    click.option("--part", help="Which recurrent network of the file, by the prefix of its keys."),
    click.option(
        "--direction",
        type=click.Choice(["forward", "backward"]),
        help="Which half of a bidirectional network.",
    ),
    click.option(
        "--matrix",
        "matrices",
        multiple=True,
        type=Named(),
        help="Which array is what, NAME=KEY, once for each: recurrent, input, bias, readout, readout_bias, initial.",
    ),
    click.option(
        "--form",
        type=click.Choice(["rnn", "rate", "activity"]),
        help="The equation of named matrices: x' = f(W x + B u + b); tau dx/dt = -x + W f(x) + B u + b; "
        "or tau dr/dt = -r + f(W r + B u + b).",
    ),
    click.option("--tau", type=float, help="Time constant of a flow."),
    click.option("--transposed", is_flag=True, help="Named matrices act from the right, x W, as in TensorFlow."),
)


def loading_options(command: Command) -> Command:
    """The options of ``dynsys.models.loading.choices.Choices``, one for each field."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Shard(click.ParamType[str]):
    """i/n, like 2/5."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        number, _, count = str(value).partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            self.fail(f"{value!r} is not of the form i/n with i from 1 to n, like 2/5", param, ctx)
        return str(value)


_SWEEP = (
    click.option(
        "--jobs", default=1, show_default=True, type=click.IntRange(1), help="Tasks at a time, a process each."
    ),
    click.option(
        "--cluster", metavar="ADDRESS", help="A Dask scheduler that hands the tasks out, like tcp://host:8786."
    ),
    click.option("--shard", type=Shard(), help="Do the i-th of n parts of the tasks only; 'dynsys merge' joins them."),
    click.option("--retry-failed", is_flag=True, help="Do tasks again that failed or crashed before."),
)


def sweep_options(command: Command) -> Command:
    """Who does a study's tasks: ``jobs``, ``cluster``, ``shard`` and ``retry_failed``, as ``run_sweep`` takes them."""
    for option in reversed(_SWEEP):
        command = option(command)
    return command


def choices_given(options: dict[str, Any]) -> dict[str, Any]:
    """The options as ``dynsys.load`` takes them, without those that were not given."""
    pairs = options.pop("matrices")
    twice = {role for role, _ in pairs if [r for r, _ in pairs].count(role) > 1}
    if twice:
        raise click.UsageError(f"--matrix {min(twice)}=... was given twice; give it once")
    return {
        key: value
        for key, value in {**options, "matrices": dict(pairs)}.items()
        if not (value is None or value is False or value == {})
    }
