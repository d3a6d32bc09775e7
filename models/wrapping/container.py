"""A module that holds one of torch's recurrent modules: what of it is the system, settled by running a copy of it.

The part alone is not the whole: a forward that leaks, feeds its output back, clamps or masks h between the steps is
another system, and one that bends h before its readout says something else. So every call that the module makes of its
part is written down, and the closed form has to reproduce the states and, with its readout, the outputs; else the
module is stepped itself where it takes and gives its state, and refused where it does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dynsys.models.recurrent.base import Recurrent
from dynsys.models.wrapping.closed_form import completed, form_of, is_known, probes, readout_arrays, system_of
from dynsys.models.wrapping.module_copy import copied_callable, describe, first_line
from dynsys.models.wrapping.readout import CalledReadout, LinearReadout, linear_readout
from dynsys.models.wrapping.said import Substituted, arranged, off_by, put_in, states_arranged, tensors_of
from dynsys.models.wrapping.steps.calling import SAME, NoForm, NotFollowed, find_form
from dynsys.models.wrapping.steps.step_form import Form
from dynsys.models.wrapping.steps.stepped import Stepped
from dynsys.models.wrapping.trial_run import TRIED, NoWay, Run, Way, find_way, inputs
from dynsys.systems.system import System
from dynsys.systems.undisturbed import undisturbed

SINGLE = 1e-4  # relative to 1 + |value|: what two ways of computing in single precision may differ by
SEQUENCES = ((1, 1.0), (2, 1.0), (4, 1.0), (4, 30.0), (40, 1.0))  # steps that are run, and the size of the inputs
ROUNDING, GROWTH = 1e-13, 1e3  # a change of the first state, and how many times what comes of it may be an error
PUT_IN = (0.5, 3.0, 50.0)  # the size of states that are put in, to see whether they reach the next step unchanged


def recurrent_part(module: nn.Module) -> str | None:
    """The name of the one recurrent module of torch's that ``module`` holds; None where there is none."""
    parts = [name for name, part in module.named_modules() if name and is_known(part)]
    if len(parts) > 1:
        raise ValueError(
            f"{describe(module)} holds {', '.join(parts)}, and what it computes is not plain from that. Give one of "
            f"them, {spelt(parts[0])}, or n_state and n_input to have the module called step by step"
        )
    return parts[0] if parts else None


def spelt(name: str) -> str:
    """The call that wraps a part of the module."""
    path = "".join(f"[{key}]" if key.isdigit() else f".{key}" for key in name.split("."))
    return f"dynsys.wrap(module{path}, readout=...)"


def system_within(module: nn.Module, part_name: str, *, reads: bool) -> Recurrent | Stepped:
    """The system of a module that holds the recurrent module ``part_name``; ``reads`` asks for its readout as well.

    Raises ValueError where what the module does is not what the system would do, with the size of the difference.
    """
    with undisturbed():
        try:
            return _confirmed(Container(module, part_name), reads)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(
                f"{describe(module)} runs on some inputs and not on others ({first_line(error)}). Give the part itself "
                f"and what reads it, {spelt(part_name)}"
            ) from error


def _confirmed(container: Container, reads: bool) -> Recurrent | Stepped:
    runs = container.runs()
    system = system_of(copied_callable(container.part), held_by=container.name)
    form = container.form(system)
    if form is not None and container.step_off(form, system) > 0:
        return container.stepped(form, system)
    traced = [container.traced(system, run) for run in runs]
    container.check_states(traced)
    system.how += f"; so do runs of {container.name}, {container.way.layout}"
    firsts = torch.cat([run.calls[0].first for run in runs]).double()
    constant = not container.way.besides and bool((firsts == firsts[0]).all() & firsts.any())
    if isinstance(system, Recurrent) and constant:
        system = completed(system, {"initial_state": firsts[0]})
    return container.reading(system, traced) if reads else system


@dataclass(frozen=True)
class Traced:
    """A run, with the states (T, B, n_state) of the system from where each call of the part begins.

    ``tolerance`` is what may differ: where the system is chaotic, rounding grows with every step.
    """

    run: Run
    states: Tensor
    tolerance: float


class Container:
    """A copy of a user's module with the recurrent part ``part_name``, and how it runs.

    It runs in float64, or in single precision where it computes in nothing else.
    """

    def __init__(self, module: nn.Module, part_name: str) -> None:
        self.name, self.part_name = describe(module), part_name
        self.held, self.way, self.dtype = self._running(module)
        self.part: Any = self.held.get_submodule(part_name)
        self.part_form = form_of(self.part)
        self.tolerance = SAME if self.dtype == torch.float64 else SINGLE

    def runs(self) -> list[Run]:
        """Runs on a few sequences, short and long, of small and large inputs, from the module's own first state."""
        found = []
        for seed, (steps, size) in enumerate(SEQUENCES):
            if steps > 1 and not self.way.sequences:
                continue
            try:
                run = self._run(steps, size, seed)
            except Exception:  # a module may need so many steps, or take no more
                continue
            self._check_input(run.input_off())
            found.append(run)
        return found

    def traced(self, system: System, run: Run) -> Traced:
        """The states of the system along a run, and how far rounding can lead them apart."""
        states, apart = [], []
        for call in run.calls:
            x = call.first.double()
            y = x + ROUNDING * (1 + x.abs())
            for u in call.u.double():
                x, y = x + system.velocity(x, u), y + system.velocity(y, u)
                states.append(x)
                apart.append(float(((y - x).abs() / (1 + x.abs())).nan_to_num(torch.inf).max()))
        return Traced(run, torch.stack(states), self.tolerance + GROWTH * max(apart))

    def check_states(self, traced: list[Traced]) -> None:
        """Raise ValueError where the module's states are not the system's, within a call of the part or between two."""
        runs, within, between = [each.run for each in traced], [], []
        for each in traced:
            ends = torch.cumsum(torch.tensor([len(call.u) for call in each.run.calls]), 0) - 1
            last = torch.stack([call.last for call in each.run.calls])
            within.append(off_by(last, [each.states[ends]], each.tolerance))
        for run in [*runs, *self._put_in(runs)]:
            pairs = zip(run.calls, run.calls[1:], strict=False)
            between.append(max((off_by(b.first, [a.last], self.tolerance) for a, b in pairs), default=0.0))
        for where, sizes in ((f"within a call of {self.part_name}", within), ("between two steps", between)):
            off = next((size for size in sizes if size > 0), 0.0)
            if off > 0:
                raise ValueError(
                    f"{self.name} is another system than its {self.part_name}: {where} the state is another by up to "
                    f"{off:.2g}. Give a function step(x, u) -> x' of all that it carries from one step to the next, "
                    f"with n_state and n_input; {spelt(self.part_name)} would be the part without the rest"
                )

    def form(self, system: System) -> Form | None:
        """The form in which the module takes and gives the state; None where it does not, but runs whole sequences."""
        try:
            return find_form(self.held, system.n_state, system.n_input, None, self.name)
        except NotFollowed as error:  # as where the last h of a sequence is normed, or fed back, once it is over
            raise ValueError(
                f"{error}; or give {spelt(self.part_name)}, its {self.part_name} alone, which is what it steps within "
                "one sequence"
            ) from error
        except NoForm as error:
            if self.way.sequences:
                return None
            raise ValueError(f"{error}. {spelt(self.part_name)} would be its {self.part_name} alone") from error

    def step_off(self, form: Form, system: System) -> float:
        """By how much a step of the module differs from one of the system, from small and large states."""
        pairs = [probes(self.part_form.layout, system.n_input, large) for large in (False, True)]
        sizes = [off_by(form.step(self.held, x, u), [system.velocity(x, u) + x], SAME) for x, u in pairs]
        return next((size for size in sizes if size > 0), 0.0)

    def stepped(self, form: Form, system: System) -> Stepped:
        """The module itself as a map."""
        found = Stepped(self.held, form, system.n_state, system.n_input, name=self.name)
        told, off = form.told(self.name, system.n_input), self.step_off(form, system)
        if not math.isfinite(off):
            raise ValueError(f"{self.name} gives states that are not finite (called as {told}); mend its weights")
        found.how = f"stepped as {told}, since it does more to the state than its {self.part_name}: up to {off:.2g}"
        found.how += " in one step"
        return found

    def reading(self, system: Recurrent | Stepped, traced: list[Traced]) -> Recurrent | Stepped:
        """The system with a readout that says what the module does: an nn.Linear of its own, or all that follows h."""
        longest = max(traced, key=lambda each: (len(each.run.u) <= TRIED, len(each.run.u)))
        known = [*states_arranged(self.part_form, longest.states), *arranged(longest.run.u)]
        found = tensors_of(longest.run.given, len(longest.run.u))
        places = [i for i, value in enumerate(found) if off_by(value, known, longest.tolerance) > 0]
        if not places:
            system.how += ", whose output is its states and nothing else that could be a readout"
            return system
        copied = copied_callable(self.held, self.dtype)
        assert isinstance(copied, nn.Module)
        said = Substituted(copied, self.part_name, self.part_form, self.way, places)
        remedy = f"Give readout=..., a function of h, or {spelt(self.part_name)}"
        try:
            sizes = [self._said_off(said, each) for each in traced]
        except Exception as error:
            raise ValueError(
                f"{self.name} cannot be run with a state of its {self.part_name} put in, to see what it says there "
                f"({first_line(error)}). {remedy}"
            ) from error
        off = next((size for size in sizes if size > 0), 0.0)
        if off > 0:
            by = "something of another shape" if off == torch.inf else f"by up to {off:.2g}"
            raise ValueError(
                f"what {self.name} says is not a function of the present state of its {self.part_name}: with the "
                f"states of a run put in it says something else, {by}; it depends on its input, on earlier states or "
                f"on chance. {remedy}"
            )
        linear = self._linear(said, system)
        if linear is None:
            return system.with_readout(CalledReadout(said, slice(0, system.n_state), sum(said.sizes)))
        if isinstance(system, Stepped):
            return system.with_readout(linear)
        return completed(system, readout_arrays(linear.W, linear.b))

    def _running(self, module: nn.Module) -> tuple[nn.Module, Way, torch.dtype]:
        reasons: list[str] = []
        for dtype in (torch.float64, torch.float32):
            held = copied_callable(module, dtype)
            assert isinstance(held, nn.Module)
            try:
                way, off = find_way(held, held.get_submodule(self.part_name), dtype)
            except NoWay as error:
                reasons.append(str(error))
                continue
            self._check_input(off)
            return held, way, dtype
        raise ValueError(
            f"{self.name} could not be run on inputs of {module.get_submodule(self.part_name).input_size} numbers, to "
            f"see what it does with its {self.part_name}: {reasons[0]}. Give the part itself and what reads it, "
            f"{spelt(self.part_name)}, or n_state and n_input to have the module called step by step"
        )

    def _check_input(self, off: float) -> None:
        """Raise ValueError where the part sees other inputs than the module."""
        if off == 0:
            return
        what = "its input" if off != torch.inf else "the sequence that it is given"
        by = f", by up to {off:.2g}" if off < torch.inf else ""
        raise ValueError(
            f"{self.name} changes {what} before {self.part_name} sees it{by}. Give {self.part_name} itself, "
            f"{spelt(self.part_name)}, whose input is what reaches it, or n_state and n_input to have the module "
            "called step by step"
        )

    def _run(self, steps: int, size: float, seed: int) -> Run:
        return self.way.run(self.held, self.part, inputs(self.way, steps, self.part, self.dtype, size, seed))

    def _put_in(self, runs: list[Run]) -> list[Run]:
        """Runs in which the part ends in random states, small and large, where the module calls it for each step."""
        if all(len(run.calls) == 1 for run in runs):
            return []
        n_state, found = max(part.stop for part in self.part_form.layout.parts.values()), []
        for seed, size in enumerate(PUT_IN):
            draw = torch.Generator().manual_seed(seed)
            x = size * torch.randn(TRIED, self.way.rows, n_state, generator=draw, dtype=torch.float64)
            with put_in(self.part, self.part_form, list(x.to(self.dtype))):
                found.append(self._run(TRIED, 1.0, seed))
        return found

    def _said_off(self, said: Substituted, each: Traced) -> float:
        """By how much the outputs of a run differ from what is said of its states."""
        found, x = tensors_of(each.run.given, len(each.run.u)), each.states
        series = said(x.flatten(0, 1)).unflatten(0, x.shape[:2]).split(list(said.sizes), dim=2)
        return max(
            off_by(found[place], arranged(part), each.tolerance)
            for place, part in zip(said.places, series, strict=True)
        )

    def _linear(self, said: Substituted, system: System) -> LinearReadout | None:
        """The nn.Linear of the module that says the same in every state, small or large, if there is one."""
        x = torch.cat([probes(self.part_form.layout, system.n_input, large)[0] for large in (False, True)])
        wanted = said(x)
        for layer in self.held.modules():
            if type(layer) is nn.Linear and layer.out_features == wanted.shape[1]:
                W, b = layer.weight.detach().double(), None if layer.bias is None else layer.bias.detach().double()
                try:
                    linear = linear_readout(W, b, system.n_state, self.part_form.layout.parts)
                except ValueError:
                    continue
                if off_by(linear(x), [wanted], self.tolerance) == 0:
                    return linear
        return None
