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
from dynsys.models.rate.low_rank import LowRank
from dynsys.models.rate.plrnn import PLRNN
from dynsys.models.rate.simple_rnn import SimpleRNN
from dynsys.models.recurrent.coupled import CoupledLSTM
from dynsys.models.recurrent.gru import GRU
from dynsys.models.recurrent.lstm import LSTM
from dynsys.models.recurrent.peephole import PeepholeLSTM
from dynsys.models.recurrent.vanilla import IRNN, RNN
from dynsys.models.tasks.flipflop import FlipFlop
from dynsys.models.tasks.integration import Integration
from dynsys.models.tasks.match_to_sample import MatchToSample
from dynsys.models.tasks.moving_average import MovingAverage
from dynsys.models.tasks.patterns import ManyToOne, OneToMany
from dynsys.models.tasks.ready_set_go import ReadySetGo
from dynsys.models.tasks.retrieval import Retrieval
from dynsys.models.tasks.sine import SineWave
from dynsys.systems.system import System


@dataclass(frozen=True)
class Model:
    """A kind of network, whose class says all there is to say of it, and a small example."""

    kind: type[System]
    example: Callable[[], System]

    @property
    def from_arrays(self) -> Callable[..., System] | None:
        """How one is made from the arrays, settings and task of a checkpoint; None where there is nothing to train."""
        return getattr(self.kind, "from_arrays", None)


def _small_esn() -> System:
    return EchoStateNetwork.random(EchoStateConfig(units=50), FlipFlop())


MODELS: dict[str, Model] = {
    model.kind.name: model
    for model in (
        Model(EchoStateNetwork, _small_esn),
        Model(SimpleRNN, SimpleRNN.random),
        Model(RNN, RNN.random),
        Model(IRNN, IRNN.random),
        Model(GRU, GRU.random),
        Model(LSTM, LSTM.random),
        Model(LeakyRate, LeakyRate.random),
        Model(LeakyActivity, LeakyActivity.random),
        Model(LeakyMap, LeakyMap.random),
        Model(LeakyRateMap, LeakyRateMap.random),
        Model(LowRank, LowRank.random),
        Model(PLRNN, PLRNN.random),
        Model(PeepholeLSTM, PeepholeLSTM.random),
        Model(CoupledLSTM, CoupledLSTM.random),
        Model(FastWeights, FastWeights.random),
        Model(ContinuousHopfield, ContinuousHopfield.random),
        Model(DenseMemory, DenseMemory.random),
        Model(PatternDescent, PatternDescent.random),
        Model(Simple2D, Simple2D),
        Model(Bistable, Bistable),
    )
}

MEMORIES: dict[str, Callable[..., Any]] = {  # of discrete states, and so no systems: a net from the patterns it stores
    "associator": Associator.hebb,
    "linear": LinearAssociator.hebb,
    "recurrent": RecurrentAssociator.hebb,
    "hopfield": Hopfield.hebb,
    "bidirectional": BidirectionalMemory.hebb,
    "polynomial": PolynomialMemory,
}

TASKS: dict[str, type[Any]] = {
    "flipflop": FlipFlop,
    "retrieval": Retrieval,
    "many-to-one": ManyToOne,
    "one-to-many": OneToMany,
    "sine": SineWave,
    "integration": Integration,
    "moving-average": MovingAverage,
    "match-to-sample": MatchToSample,
    "ready-set-go": ReadySetGo,
}

__all__ = ["MEMORIES", "MODELS", "TASKS", "Model"]
