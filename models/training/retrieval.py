"""How a fast-weights network, an IRNN, an LSTM or a GRU learns associative retrieval (Ba et al. 2016, section 4.1).

It is a lesson for backpropagation. What a network answers wrongly is told digit by digit, letter by letter, and by
which of the string's digits it gave instead. One that "knows the four digits, not which one" (the plateau at 60 to 75 %
of error) gives another digit of the same string; one that knows nothing gives any.
"""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dynsys.models.fast_weights.network import FastWeightsConfig, FastWeightsNetwork
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.loading.checkpoint import load
from dynsys.models.networks.strings import StringNetwork
from dynsys.models.tasks.retrieval import DIGITS, LETTERS, Ints, Retrieval, Strings
from dynsys.models.training.backprop import Backprop
from dynsys.models.training.beginning import USUAL, check_beginning
from dynsys.models.training.learning import Course
from dynsys.models.training.optimisers import ADAM

LEARNED = 0.05  # test error up to which a network counts as one that has learned the task
FAST = "fast-weights"
OF_PAIRS = "test_error_of_pairs_"  # before their number, of strings of mixed lengths
ETA = {"all": 0.1, "slow": 0.003}  # where A h is not normalised it feeds on itself, and at 0.1 overflows in one string
IDENTITY = {FAST: 0.5, "irnn": 1.0}  # where the recurrent weights begin at a multiple of the identity, and at which
Counts = dict[str, NDArray[np.int64]]
TOGETHER = 5_000  # strings answered at once


@dataclass(frozen=True)
class Recipe:
    """How long, in what batches, how fast, with what clipping and by which optimizer; see ``docs/retrieval.md``."""

    steps: int = 20_000
    batch: int = 128
    rate: float = 3e-3
    clip: float = 5.0
    optimizer: str = ADAM
    momentum: float | None = None


SMALL = Recipe(18_000, 512)  # of a fast-weights network below ``FEW`` units, which learns from large batches only


FEW = 40


CURRICULUM = 5_000  # steps that are enough from the weights of another run


def usual_recipe(model: str, units: int, start: str | Path | None = None) -> Recipe:
    """What is known to work for a network of that size, from random weights or from those of another run."""
    recipe = SMALL if model == FAST and units < FEW else Recipe()
    return recipe if start is None else dataclasses.replace(recipe, steps=CURRICULUM)


def retrieval_course(
    model: str,
    *,
    units: int = 50,
    inner: int = 1,
    rate: float | None = None,
    decay: float = 0.95,
    normalise: str = "all",
    identity: float | None = None,
    begin: str = USUAL,
    reach: float | None = None,
    pairs: int | str = 4,
    layers: int = 1,
    bidirectional: bool = False,
    start: str | Path | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    data_seed: int = 0,
) -> Course:
    """``model`` is "fast-weights" (S = ``inner`` steps, eta = ``rate``, lambda = ``decay``) or a name in ``CELLS``.

    The recurrent weights of a fast-weights network and of an IRNN begin at ``identity`` times the identity; None is
    ``IDENTITY``, and a ``rate`` of None ``ETA``. Another ``begin``, with its ``reach``, is one of ``BEGINNINGS``. The
    strings have ``pairs`` pairs, or mixed numbers of them, "2:6". ``data_seed`` draws the strings, ``seed`` the weights
    and the order of the strings. With ``start``, the checkpoint or folder of another fast-weights run, training begins
    from its weights: more inner steps than one are learned that way, and not from random weights. Raises
    CheckpointError, and ValueError where that network is another.
    """
    check_beginning(begin, identity, reach)
    chosen = recipe or usual_recipe(model, units, start)
    task = Retrieval.of(pairs)
    lesson = RetrievalLesson(strings(task, data_seed), chosen.batch, seed)
    multiple = IDENTITY.get(model, 1.0) if identity is None else identity
    eta = ETA.get(normalise, 0.0) if rate is None else rate
    first: dict[str, Any] = {"identity": multiple, "begin": begin, "reach": reach}
    fast = FastWeightsConfig(units, inner, eta, decay, normalise=normalise, seed=seed, **first)
    network: FastWeightsNetwork | StringNetwork
    shape: dict[str, Any] = {"layers": layers, "bidirectional": bidirectional}
    network = FastWeightsNetwork(fast) if model == FAST else StringNetwork(model, units, seed=seed, **shape, **first)
    if start is not None:
        begin_from(network, start)
    how: dict[str, Any] = {"optimizer": chosen.optimizer, "momentum": chosen.momentum}
    settings = Backprop(chosen.steps, chosen.rate, clip=chosen.clip, validate_every=1000, seed=seed, **how)

    def system() -> Any:
        if isinstance(network, FastWeightsNetwork):
            return FastWeights.of(network, task=task)
        return None if bidirectional else network.system(task)

    def judge() -> tuple[dict[str, float], bool]:
        by_pairs = lesson.wrong_by_pairs(network, "test")
        errors = {"validation_error": lesson.error(network), "test_error": statistics.fmean(by_pairs.values())}
        each = {f"{OF_PAIRS}{k}": error for k, error in by_pairs.items()} if len(by_pairs) > 1 else {}
        return errors | each, errors["test_error"] <= LEARNED

    def curves() -> dict[str, Any]:
        test = lesson.sets["test"]
        return {**mistakes(test, answers(network, test))}

    own = dataclasses.asdict(fast) if model == FAST else {"units": units, **shape, "seed": seed}
    own |= first if model in IDENTITY else {}
    own |= {} if start is None else {"start": str(start)}
    about = {"model": model, **own, **dataclasses.asdict(chosen), "pairs": str(pairs), "data_seed": data_seed}
    weights = partial(network.weights, "rnn.") if isinstance(network, StringNetwork) else None
    return Course(network, lesson, settings, system, judge, curves, about, weights)


def begin_from(network: nn.Module, start: str | Path) -> None:
    """Give ``network`` the weights of the fast-weights network in a checkpoint or in the folder of a run."""
    found = load(start)
    if not (isinstance(found, FastWeights) and isinstance(network, FastWeightsNetwork)):
        raise ValueError(f"{start} holds a {found.name} network; only a fast-weights network begins from another one")
    weights = {key: torch.as_tensor(value, dtype=torch.float32) for key, value in found.arrays().items()}
    sizes = {key: (tuple(weights[key].shape), tuple(value.shape)) for key, value in network.state_dict().items()}
    if any(given != needed for given, needed in sizes.values()):
        raise ValueError(
            f"{start} holds a network of {found.config.units} units; one of {network.config.units} cannot begin from it"
        )
    network.load_state_dict(weights)


@lru_cache(maxsize=1)
def strings(task: Retrieval, seed: int) -> dict[str, Strings]:
    """The sets of the task; networks that are compared share them."""
    return task.sets(seed)


def mistakes(some: Strings, given: Ints) -> Counts:
    """Counts of the digits ``given`` (n,) to n strings of K pairs, or of K at most.

    ``confusion`` (10, 10): the digit of the row was right, that of the column was given. ``letter_asked`` and
    ``letter_missed`` (26,): how often each letter was asked for, and answered wrongly. ``places`` (K, K + 1): the pair
    of the row was asked for and the digit of the column's pair given; in the last column a digit that is not in the
    string. A digit that stands in more than one pair is counted as the right one or else as that of the first.
    """
    asked = some.asked
    confusion = np.zeros((len(DIGITS), len(DIGITS)), dtype=np.int64)
    np.add.at(confusion, (some.answers, given), 1)
    wrong = given != some.answers
    return {
        "confusion": confusion,
        "letter_asked": np.bincount(asked, minlength=len(LETTERS)),
        "letter_missed": np.bincount(asked[wrong], minlength=len(LETTERS)),
        "places": _places(some, given),
    }


def _places(some: Strings, given: Ints) -> NDArray[np.int64]:
    """Shorter strings have no more than their own first pairs."""
    most = int(some.pairs.max())
    counts = np.zeros((most, most + 1), dtype=np.int64)
    for k, part in some.by_pairs().items():
        own = _places_of_one_length(part, given[some.pairs == k])
        counts[:k, :k] += own[:, :k]
        counts[:k, most] += own[:, k]
    return counts


def _places_of_one_length(some: Strings, given: Ints) -> NDArray[np.int64]:
    letters, digits = some.characters[:, 0:-3:2], some.characters[:, 1:-3:2] - len(LETTERS)
    pairs = letters.shape[1]
    row = (letters == some.characters[:, -1:]).argmax(axis=1)
    same = digits == given[:, None]
    column = np.where(same.any(axis=1), same.argmax(axis=1), pairs)
    column[given == some.answers] = row[given == some.answers]
    counts = np.zeros((pairs, pairs + 1), dtype=np.int64)
    np.add.at(counts, (row, column), 1)
    return counts


@dataclass(frozen=True)
class RetrievalLesson:
    """Softmax and cross-entropy on batches of the training set; the error is the share of wrong answers.

    Of strings of several lengths every length is as frequent in a batch as any other, and counts as much in the error,
    however many the set has of it.
    """

    sets: dict[str, Strings] = field(repr=False)
    batch: int = 128
    seed: int = 0

    def loss(self, network: nn.Module, step: int) -> Tensor:
        some = self.sets["train"][self.rows(step)]
        logits = network(torch.as_tensor(some.characters), _ends(some))
        return functional.cross_entropy(logits, torch.as_tensor(some.answers))

    def rows(self, step: int) -> Ints:
        """The numbers (batch,) of the training strings of that step."""
        rng = np.random.default_rng([self.seed, step])
        if len(self._pools) == 1:
            return rng.integers(len(self.sets["train"]), size=self.batch)
        which, where = rng.integers(len(self._pools), size=self.batch), rng.random(self.batch)
        return np.array([self._pools[k][int(x * len(self._pools[k]))] for k, x in zip(which, where, strict=True)])

    def error(self, network: nn.Module) -> float:
        return self.share_wrong(network, "validation")

    def share_wrong(self, network: nn.Module, name: str) -> float:
        """Of the set of that name."""
        return statistics.fmean(self.wrong_by_pairs(network, name).values())

    def wrong_by_pairs(self, network: nn.Module, name: str) -> dict[int, float]:
        """The share of wrong answers to the strings of each number of pairs."""
        parts = self.sets[name].by_pairs()
        return {pairs: float(np.mean(answers(network, some) != some.answers)) for pairs, some in parts.items()}

    @cached_property
    def _pools(self) -> list[Ints]:
        """The numbers of the training strings of each length."""
        pairs = self.sets["train"].pairs
        return [np.flatnonzero(pairs == k) for k in np.unique(pairs)]


def answers(network: nn.Module, strings: Strings) -> Ints:
    """The digit (n,) that the network gives to each string."""
    with torch.no_grad():
        parts = [strings[i : i + TOGETHER] for i in range(0, len(strings), TOGETHER)]
        given = [network(torch.as_tensor(part.characters), _ends(part)).argmax(1) for part in parts]
    return torch.cat(given).numpy()


def _ends(some: Strings) -> Tensor | None:
    """Where each string ends, None where all fill their rows."""
    return None if some.lengths is None else torch.as_tensor(some.ends)
