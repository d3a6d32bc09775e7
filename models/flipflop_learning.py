"""How a vanilla network, an IRNN, a GRU or an LSTM learns the flip-flop task."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from dynsys.models.backprop import Backprop
from dynsys.models.flipflop import FlipFlop
from dynsys.models.flipflop_lesson import TEST, FlipFlopLesson
from dynsys.models.learning import Course
from dynsys.models.recipe import LEARNED
from dynsys.models.recurrent_network import RecurrentNetwork

STEPS = 3000
RATE = 0.05  # of Adam, over the square root of the units
BEGIN: dict[str, dict[str, Any]] = {"irnn": {"identity": 0.8, "input_scale": 0.5}}  # where it is not torch's start
FASTER = {"irnn": 2.0}  # times that rate: with the start above 5 times fewer steps than at the identity and N(0, 0.1^2)
PRACTICE_GAP, GAP = 4.0, 30.0  # steps between the pulses of one bit, in training and in the task
SETTLE = 3  # steps after which a bit is judged
ENOUGH = 1e-4  # settled MSE at which training ends
SHOWN = 400  # steps of the test that are kept


def flipflop_course(
    cell: str, *, bits: int = 3, units: int = 64, layers: int = 1, steps: int | None = None, seed: int = 0
) -> Course:
    """Pulses of one step, in training one in four steps of each bit; ``cell`` is a name in ``CELLS``."""
    task = FlipFlop(bits, pulse=1, gap=GAP, settle=SETTLE, overlap=True)
    practice = dataclasses.replace(task, gap=PRACTICE_GAP)
    lesson = FlipFlopLesson(practice, task, seed=seed)
    network = RecurrentNetwork(cell, bits, units, bits, layers=layers, seed=seed, **BEGIN.get(cell, {}))
    rate = RATE * FASTER.get(cell, 1.0) / units**0.5
    settings = Backprop(steps or STEPS, rate, enough=ENOUGH, seed=seed)

    def judge() -> tuple[dict[str, float], bool]:
        metrics = lesson.score(network)
        return metrics, metrics["settled_bit_accuracy"] >= LEARNED

    def curves() -> dict[str, Any]:
        inputs, target = lesson.trials(task, 1, SHOWN, [seed, TEST])
        with torch.no_grad():
            output = network(inputs)
        shown = {"test_input": inputs, "test_output": output, "test_target": target}
        return {key: value[0].double().numpy() for key, value in shown.items()}

    about = {"model": cell, "units": units, "layers": layers, **dataclasses.asdict(lesson)}
    return Course(network, lesson, settings, lambda: network.system(task), judge, curves, about)
