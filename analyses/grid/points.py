"""The points of a grid: one value from each of some lists, in every combination.

The settings of Ba et al. (2016) were chosen in that way, on validation data (Wayman and Mathew, section 8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from dynsys.models.training.learners import LEARNERS, NAMES
from dynsys.models.training.optimisers import ADAM, rate_beside_adam

Point = dict[str, Any]  # a value for each choice of a learner that the grid is over
Lists = Mapping[str, Sequence[Any]]

USUAL: dict[str, dict[str, tuple[Any, ...]]] = {
    **{task: {"learning_rate": (0.003, 0.01, 0.03)} for task in LEARNERS},
    "retrieval": {"learning_rate": (0.001, 0.003, 0.01), "rate": (0.05, 0.1, 0.2), "decay": (0.9, 0.95, 0.98)},
}


def points(lists: Lists) -> list[Point]:
    """The product of the lists, the last of them changing fastest.

    >>> points({"rate": (0.1, 0.2), "decay": (0.9, 0.95)})[1]
    {'rate': 0.1, 'decay': 0.95}
    """
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def usual_lists(task: str, model: str, optimizer: str = ADAM) -> dict[str, tuple[Any, ...]]:
    """What a grid is over if nothing else is said: learning rate x eta x lambda, those of them that the network has.

    The learning rates are those of Adam, times what another optimizer needs.
    """
    lists = of_network(USUAL[task], task, model)
    times = rate_beside_adam(optimizer)
    return {**lists, "learning_rate": tuple(float(f"{times * rate:g}") for rate in lists["learning_rate"])}


def of_network(lists: Lists, task: str, model: str) -> dict[str, tuple[Any, ...]]:
    """The lists of choices that the network has."""
    return {name: tuple(values) for name, values in lists.items() if name in LEARNERS[task][model].choices}


def choice_named(text: str) -> str:
    """The choice of a learner that the command line calls ``text``.

    >>> choice_named("learning-rate"), choice_named("eta")
    ('learning_rate', 'rate')
    """
    plain = text.strip().replace("-", "_")
    return {told: name for name, told in NAMES.items()}.get(plain, plain)


def told_choice(name: str) -> str:
    """What it is called in a table.

    >>> told_choice("learning_rate"), told_choice("decay")
    ('learning rate', 'lambda')
    """
    return NAMES.get(name, name.replace("_", " "))


def shown(value: Any) -> str:
    """A value as it was written: 0.003, 16, tanh."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def folder_of(point: Mapping[str, Any]) -> str:
    """The name of its folder: what is chosen, and how."""
    parts = [f"{told_choice(name).replace(' ', '-')}-{shown(value)}" for name, value in point.items()]
    return "-".join(parts).replace(":", "-")


def check_lists(lists: Lists) -> None:
    """Raises ValueError for a list that is empty, or has a value twice."""
    for name, values in lists.items():
        twice = [value for value in values if list(values).count(value) > 1]
        if twice or not values:
            wrong = f"has {shown(twice[0])} twice" if twice else "is empty"
            raise ValueError(f"the list of {told_choice(name)} {wrong}; a grid is over different values of each choice")
