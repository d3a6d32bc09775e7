"""Options that several commands share: what a file of another tool does not say itself, and who does a study's work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dynsys.cli.named import OneOf

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
    click.option(
        "--activation",
        help="f of the network: tanh, logistic, relu, softplus, identity, hard-sigmoid, erf, elu, retanh, relu^2 ... "
        "Weights do not tell it.",
    ),
    click.option(
        "--gate-activation", help="That of the gates of a GRU or LSTM; logistic unless the file says another."
    ),
    click.option("--part", help="Which recurrent network of the file, by the prefix of its keys."),
    click.option(
        "--direction",
        type=OneOf("dynsys.models.loading.choices", "DIRECTIONS"),
        help="Which half of a bidirectional network.",
    ),
    click.option(
        "--matrix",
        "matrices",
        multiple=True,
        type=Named(),
        metavar="ROLE=EXPRESSION",
        help="Which array is what, once for each role: recurrent, input, bias, readout, readout_bias, initial. An "
        "expression may hold + - * @ / .T, slices, abs relu diag norm where concatenate: recurrent='m @ n.T / 512'.",
    ),
    click.option(
        "--form",
        type=OneOf("dynsys.models.loading.choices", "FORMS"),
        help="The equation of named matrices: x' = f(W x + B u + b); tau dx/dt = -x + W f(x) + B u + b; "
        "tau dr/dt = -r + f(W r + B u + b); x' = (1 - a) x + a f(W x + B u + b); "
        "x' = (1 - a) x + a (W f(x) + B u + b); and those of docs/checkpoints.md.",
    ),
    click.option("--tau", metavar="NUMBER|EXPRESSION", help="Time constant of a flow, one or one for each unit."),
    click.option("--alpha", metavar="NUMBER|EXPRESSION", help="Leak of a step, in (0, 1], one or one for each unit."),
    click.option(
        "--convention",
        help="Whose gates these are: torch, keras, 'keras reset_after=False', onnx, flax or matlab; clipped (PLRNN).",
    ),
    click.option("--gates", metavar="ORDER", help="Order of the gates in a stacked matrix: rzn, zrn, ifgo, iofg ..."),
    click.option("--transposed", is_flag=True, help="Named matrices act from the right, x W, as in TensorFlow."),
    click.option(
        "--ignore",
        multiple=True,
        metavar="KEY",
        help="An array or a setting that plays no part in the step; a key that ends in * is the beginning of many.",
    ),
    click.option(
        "--replay",
        metavar="TRIAL",
        help="Take the reading that reproduces this trial: inputs with states or outputs, .npz, .mat, .csv.",
    ),
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
    return who_works_options(_SWEEP[-1](command))


def who_works_options(command: Command) -> Command:
    """The first three of them, of a study that always tries again what failed."""
    for option in reversed(_SWEEP[:-1]):
        command = option(command)
    return command


def seconds_option(what: str) -> Callable[[Command], Command]:
    """How long the command may take; ``what`` becomes of the rest."""
    text = f"Begin nothing more after so long; {what}"
    return click.option("--seconds", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help=text)


GOES_ON = "what is done is kept, and the same command goes on."


def choices_given(options: dict[str, Any]) -> dict[str, Any]:
    """The options as ``dynsys.load`` takes them, without those that were not given."""
    pairs = options.pop("matrices")
    twice = {role for role, _ in pairs if [r for r, _ in pairs].count(role) > 1}
    if twice:
        raise click.UsageError(f"--matrix {min(twice)}=... was given twice; give it once")
    return {
        key: value
        for key, value in {**options, "matrices": dict(pairs)}.items()
        if not (value is None or value is False or value in ({}, ()))
    }
