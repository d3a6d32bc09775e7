"""The networks, by name, and the tasks that they learn: a new network is one file beside this and one line below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dynsys.models.associative.associator import Associator
from dynsys.models.associative.bidirectional import BidirectionalMemory
from dynsys.models.associative.continuous import ContinuousHopfield
from dynsys.models.associative.dense import DenseMemory
from dynsys.models.associative.descent import PatternDescent
from dynsys.models.associative.hopfield import Hopfield
from dynsys.models.associative.linear import LinearAssociator
from dynsys.models.associative.polynomial import PolynomialMemory
from dynsys.models.associative.recurrent import RecurrentAssociator
from dynsys.models.examples.bistable import Bistable
from dynsys.models.examples.simple2d import Simple2D
from dynsys.models.fast_weights.system import FastWeights
from dynsys.models.rate.echo_state import EchoStateConfig, EchoStateNetwork
from dynsys.models.rate.leaky_map import LeakyMap, LeakyRateMap
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.models.rate.plrnn import PLRNN
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.coupled import CoupledLSTM
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.irnn import IRNN
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.peephole import PeepholeLSTM
from dynsys.models.recurrent.vanilla import RNN
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.tasks.patterns import ManyToOne, OneToMany
from dynsys.models.tasks.retrieval import Retrieval
from dynsys.systems.system import System


@dataclass(frozen=True)
class Model:
    """A kind of network: a small example of it, and how one is made from the arrays and settings of a checkpoint.

    ``weights`` are the arrays by which a file of another tool is recognised, where their names alone tell it.
    """

    example: Callable[[], System]
    from_arrays: Callable[..., System] | None = None
    weights: tuple[str, ...] = ()


def _small_esn() -> System:
    return EchoStateNetwork.random(EchoStateConfig(units=50), FlipFlop())


MODELS: dict[str, Model] = {
    "esn": Model(_small_esn, EchoStateNetwork.from_arrays, ("W_r", "W_fb", "W_out", "B")),
    "simple-rnn": Model(SimpleRNN.random, SimpleRNN.from_arrays, ("W",)),
    "rnn": Model(RNN.random, RNN.from_arrays, ("weight_ih_l0", "weight_hh_l0")),
    "gru": Model(GRU.random, GRU.from_arrays, ("weight_ih_l0", "weight_hh_l0")),
    "lstm": Model(LSTM.random, LSTM.from_arrays, ("weight_ih_l0", "weight_hh_l0")),
    "rate": Model(LeakyRate.random, LeakyRate.from_arrays),
    "activity": Model(LeakyActivity.random, LeakyActivity.from_arrays),
    "leaky": Model(LeakyMap.random, LeakyMap.from_arrays),
    "leaky-rate": Model(LeakyRateMap.random, LeakyRateMap.from_arrays),
    "plrnn": Model(PLRNN.random, PLRNN.from_arrays),
    "irnn": Model(IRNN.random, IRNN.from_arrays),
    "lstm-peephole": Model(PeepholeLSTM.random, PeepholeLSTM.from_arrays),
    "lstm-coupled": Model(CoupledLSTM.random, CoupledLSTM.from_arrays),
    "fast-weights": Model(FastWeights.random, FastWeights.from_arrays),
    "continuous-hopfield": Model(ContinuousHopfield.random, ContinuousHopfield.from_arrays),
    "dense-memory": Model(DenseMemory.random, DenseMemory.from_arrays),
    "pattern-descent": Model(PatternDescent.random, PatternDescent.from_arrays),
    "simple2d": Model(Simple2D),
    "bistable": Model(Bistable),
}

MEMORIES: dict[str, Callable[..., Any]] = {  # of discrete states, and so no systems: a net from the patterns it stores
    "associator": Associator.hebb,
    "linear": LinearAssociator.hebb,
    "recurrent": RecurrentAssociator.hebb,
    "hopfield": Hopfield.hebb,
    "bidirectional": BidirectionalMemory.hebb,
    "polynomial": PolynomialMemory,
}

TASKS: dict[str, Callable[..., Any]] = {
    "flipflop": FlipFlop,
    "retrieval": Retrieval,
    "many-to-one": ManyToOne,
    "one-to-many": OneToMany,
}

__all__ = ["MEMORIES", "MODELS", "TASKS", "Model"]
