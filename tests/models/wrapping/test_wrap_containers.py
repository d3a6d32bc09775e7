"""``dynsys.wrap`` of modules that hold a recurrent module: exactly what they compute, or refused with the size.

Each module here is run itself, in float64, on sequences of its own; nothing is taken from the code under test.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import rnn as packing

import dynsys
from dynsys.models.wrapping.steps.stepped import Stepped
from dynsys.testing import check_system

MASK = torch.tensor([1.0, 0, 1, 0, 1])


class Sequence(nn.Module):
    """A recurrent module over a whole sequence, batch first, and a linear readout."""

    def __init__(self, rnn=None, outputs=2):
        super().__init__()
        self.rnn = rnn or nn.GRU(3, 5, batch_first=True)
        self.read = nn.Linear(self.rnn.hidden_size, outputs)

    def forward(self, u):
        return self.say(self.rnn(u)[0])

    def say(self, h):
        return self.read(h)


class Loop(nn.Module):
    """A cell in a loop over time, batch first; what happens between the steps can be changed."""

    def __init__(self, cell=None):
        super().__init__()
        self.cell, self.read = cell or nn.GRUCell(3, 5), nn.Linear(5, 2)

    def between(self, h, before, t):
        return h

    def say(self, h, u):
        return self.read(h)

    def forward(self, u):
        h, said = u.new_zeros(len(u), 5), []
        for t in range(u.shape[1]):
            h = self.between(self.cell(u[:, t], h), h, t)
            said.append(self.say(h, u[:, t]))
        return torch.stack(said, 1)


# --- heads: everything between h and the output is the readout


class Last(Sequence):
    def forward(self, u):
        return self.read(self.rnn(u)[0][:, -1])


class LastState(Sequence):
    def forward(self, u):
        return self.read(self.rnn(u)[1][-1])


class Tanh(Sequence):
    def say(self, h):
        return self.read(torch.tanh(h))


class Masked(Sequence):
    def say(self, h):
        return self.read(h * MASK)


class Squared(Sequence):
    def say(self, h):
        return self.read(h**2)


class Minus(Sequence):
    def say(self, h):
        return self.read(-h)


class Softmax(Sequence):
    def say(self, h):
        return torch.softmax(self.read(h), dim=-1)


class Normalised(Sequence):
    def __init__(self):
        super().__init__()
        self.norm, self.gain = nn.LayerNorm(5), nn.Parameter(torch.tensor(3.0))

    def say(self, h):
        return self.gain * self.read(self.norm(h))


class Deep(Sequence):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 5))

    def say(self, h):
        return self.read(self.hidden(h))


class BatchNormed(Sequence):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.norm.running_mean += torch.randn(5)

    def say(self, h):
        return self.read(self.norm(h.transpose(1, 2)).transpose(1, 2))


class Squeezed(Sequence):
    def __init__(self):
        super().__init__(outputs=1)

    def say(self, h):
        return self.read(h).squeeze(-1)


class Clipped(Sequence):
    """The readout is linear only as far as h is small."""

    def __init__(self):
        super().__init__(nn.RNN(3, 5, nonlinearity="relu", batch_first=True))

    def say(self, h):
        return self.read(h.clamp(max=20))


class ActorCritic(Sequence):
    def __init__(self):
        super().__init__()
        self.value = nn.Linear(5, 1)

    def forward(self, u, h=None):
        out, h = self.rnn(u, h)
        return self.read(out), self.value(out), h


class OfCell(Sequence):
    """Reads c of an LSTM."""

    def __init__(self):
        super().__init__(nn.LSTM(3, 5, batch_first=True))

    def forward(self, u):
        return self.read(self.rnn(u)[1][1][0])


class TwoLayers(Sequence):
    """Reads h of both layers."""

    def __init__(self):
        super().__init__(nn.GRU(3, 5, 2, batch_first=True))
        self.read = nn.Linear(10, 2)

    def forward(self, u):
        return self.read(torch.cat(list(self.rnn(u)[1]), dim=1))


class TimeFirst(Sequence):
    def __init__(self):
        super().__init__(nn.LSTM(3, 5, 2))

    def forward(self, u, state=None):
        out, state = self.rnn(u, state)
        return self.read(out), state


class Turned(Sequence):
    """Takes the batch first and hands over time first."""

    def __init__(self):
        super().__init__(nn.GRU(3, 5))

    def forward(self, u):
        return self.read(self.rnn(u.transpose(0, 1))[0]).transpose(0, 1)


class Mapping(Sequence):
    def forward(self, data):
        h = self.rnn(data["inputs"])[0]
        return {"output": self.read(h), "hidden": h}


class Packed(Sequence):
    def forward(self, u, lengths):
        packed = packing.pack_padded_sequence(u, lengths, batch_first=True, enforce_sorted=False)
        return self.read(packing.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0])


class Listing(Loop):
    """Gives a list of outputs, one for each step."""

    def forward(self, u):
        return list(super().forward(u).unbind(1))


class Singles(Sequence):
    """Casts to single precision inside."""

    def forward(self, u):
        return self.read(self.rnn(u.float())[0])


class Zeros(Sequence):
    """Makes its own first state, in torch's default type."""

    def forward(self, u):
        return self.read(self.rnn(u, torch.zeros(1, len(u), 5))[0])


class ByName(Sequence):
    """Takes its input by name alone, and gives it back beside the output."""

    def forward(self, *, stimulus, **options):
        return {"said": self.read(self.rnn(stimulus)[0]), "stimulus": stimulus}


class Labels(Sequence):
    def say(self, h):
        return self.read(h).argmax(-1)


def run(module, u, **given):
    """What the module gives on inputs (B, T, m), in float64, and in the shape that it gives."""
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            return copy.deepcopy(module).double().eval()(u, **given)
    finally:
        torch.set_default_dtype(torch.float32)


def through(system, u):
    """The states and outputs of the system on inputs (B, T, m), each (B, T, .)."""
    first = getattr(system, "initial_state", None)
    x = torch.zeros(len(u), system.n_state, dtype=torch.float64) if first is None else first.expand(len(u), -1)
    states = dynsys.simulate(system, x, u.transpose(0, 1))
    said = torch.stack([system.readout(x) for x in states])
    return states.transpose(0, 1), said.transpose(0, 1)


def sequence(B=4, T=6, m=3, size=1.0):
    return size * torch.randn(B, T, m, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def made(kind):
    torch.manual_seed(0)
    return kind()


HEADS = [Sequence, Tanh, Masked, Squared, Minus, Softmax, Normalised, Deep, BatchNormed, Clipped, Zeros, Loop, Turned]


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("size", [1.0, 20.0])
def test_what_a_module_says_at_every_step_is_the_readout(kind, size):
    module, u = made(kind), sequence(size=size)
    system = dynsys.wrap(module)
    assert (system.n_state, system.n_input, system.n_output) == (5, 3, 2)
    torch.testing.assert_close(through(system, u)[1], run(module, u), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", [Last, LastState, OfCell, TwoLayers])
def test_what_a_module_says_at_the_end_is_the_readout(kind):
    module, u = made(kind), sequence()
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1][:, -1], run(module, u), rtol=0, atol=1e-12)


def test_a_readout_of_one_number_without_an_axis():
    module, u = made(Squeezed), sequence()
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1][..., 0], run(module, u), rtol=0, atol=1e-12)


def test_all_that_a_module_says_is_its_readout():
    module, u = made(ActorCritic), sequence()
    policy, value, _ = run(module, u)
    said = through(dynsys.wrap(module), u)[1]
    torch.testing.assert_close(said, torch.cat([policy, value], dim=2), rtol=0, atol=1e-12)


def test_inputs_with_time_first_in_mappings_with_lengths_and_outputs_in_lists():
    module, u = made(TimeFirst), sequence()
    expected = run(module, u.transpose(0, 1))[0].transpose(0, 1)
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1], expected, rtol=0, atol=1e-12)
    module = made(Mapping)
    expected = run(module, {"inputs": u})["output"]
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1], expected, rtol=0, atol=1e-12)
    module = made(Packed)
    expected = run(module, u, lengths=torch.full((4,), 6))
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1], expected, rtol=0, atol=1e-12)
    module = made(Listing)
    expected = torch.stack(run(module, u), dim=1)
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1], expected, rtol=0, atol=1e-12)


def test_an_input_by_name_and_given_back_is_no_output():
    module, u = made(ByName), sequence()
    with torch.no_grad():
        expected = copy.deepcopy(module).double()(stimulus=u)["said"]
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1], expected, rtol=0, atol=1e-12)


def test_labels_are_no_readout_and_that_is_said():
    system = dynsys.wrap(made(Labels))
    assert system.n_output == 0
    assert "nothing else that could be a readout" in system.how


def test_a_module_that_casts_to_single_precision_is_run_in_it_and_its_weights_are_kept_in_double():
    module, u = made(Singles), sequence()
    system = dynsys.wrap(module)
    with torch.no_grad():
        expected = module(u)
    torch.testing.assert_close(through(system, u)[1].float(), expected, rtol=0, atol=1e-5)
    plain = made(Sequence)
    plain.load_state_dict(module.state_dict())
    torch.testing.assert_close(through(system, u)[1], run(plain, u), rtol=0, atol=1e-12)


def test_a_linear_readout_stays_linear_and_any_other_is_differentiated():
    for kind, linear in ((Sequence, True), (Softmax, False), (Clipped, False)):
        system = dynsys.wrap(made(kind))
        assert ("readout.weight" in system.arrays()) == linear
        check_system(system)
        x = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        h = 1e-6
        slope = (system.readout(x + h) - system.readout(x - h)) / (2 * h)
        torch.testing.assert_close(system.readout_product(x, torch.ones_like(x)), slope, rtol=1e-6, atol=1e-8)


# --- first states


class Learned(Sequence):
    def __init__(self):
        super().__init__()
        self.h0 = nn.Parameter(torch.randn(1, 1, 5))

    def forward(self, u):
        return self.read(self.rnn(u, self.h0.tanh().expand(-1, len(u), -1).contiguous())[0])


class Drawn(Sequence):
    def forward(self, u):
        return self.read(self.rnn(u, torch.randn(1, len(u), 5, dtype=u.dtype))[0])


class Demanded(Sequence):
    """Its first state comes through a layer from what it is given."""

    def __init__(self):
        super().__init__()
        self.to_h = nn.Linear(5, 5)

    def forward(self, u, z):
        return self.read(self.rnn(u, self.to_h(z)[None])[0])


def test_the_first_state_is_the_one_that_the_module_begins_in():
    module, u = made(Learned), sequence()
    system = dynsys.wrap(module)
    torch.testing.assert_close(system.initial_state, module.h0.detach().double().tanh()[0, 0], rtol=0, atol=1e-14)
    torch.testing.assert_close(through(system, u)[1], run(module, u), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Drawn, Demanded, Sequence])
def test_where_it_is_drawn_or_given_there_is_none(kind):
    assert dynsys.wrap(made(kind)).initial_state is None


def test_one_row_alone_is_enough_to_run_on():
    class OneRow(Sequence):
        def __init__(self):
            super().__init__(nn.LSTM(3, 5))
            self.h, self.c = nn.Parameter(torch.randn(1, 5)), nn.Parameter(torch.randn(1, 5))

        def forward(self, u):
            return self.read(self.rnn(u, (self.h, self.c))[0])

    module, u = made(OneRow), sequence(B=1)
    system = dynsys.wrap(module)
    torch.testing.assert_close(through(system, u)[1][0], run(module, u[0]), rtol=0, atol=1e-12)


# --- more than the recurrent part: refused with its size, or stepped where the state goes in and out


class Leaks(Loop):
    def between(self, h, before, t):
        return 0.8 * before + 0.2 * h


class Clamps(Loop):
    def between(self, h, before, t):
        return h.clamp(-0.2, 0.2)


class ClampsFar(Loop):
    def between(self, h, before, t):
        return h.clamp(-20, 20)


class MasksState(Loop):
    def between(self, h, before, t):
        return h * MASK


class ResetsLater(Loop):
    def between(self, h, before, t):
        return 0 * h if t == 30 else h


class ZonesOut(Loop):
    def between(self, h, before, t):
        return torch.where(torch.rand_like(h) < 0.5, before, h) if self.training else 0.5 * before + 0.5 * h


class ClipsCell(Loop):
    def __init__(self):
        super().__init__(nn.LSTMCell(3, 5))

    def forward(self, u):
        h = c = u.new_zeros(len(u), 5)
        for t in range(u.shape[1]):
            h, c = self.cell(u[:, t], (h, c))
            c = c.clamp(-10, 10)
        return self.read(h)


class LeaksSequence(Sequence):
    """The same with torch's sequence module called step by step."""

    def forward(self, u):
        h, said = u.new_zeros(1, len(u), 5), []
        for t in range(u.shape[1]):
            h = 0.5 * h + 0.5 * self.rnn(u[:, t : t + 1], h)[1]
            said.append(self.read(h[0]))
        return torch.stack(said, 1)


@pytest.mark.parametrize(
    "kind", [Leaks, Clamps, ClampsFar, MasksState, ResetsLater, ZonesOut, ClipsCell, LeaksSequence]
)
def test_a_state_that_is_changed_between_the_steps_is_another_system(kind):
    with pytest.raises(
        ValueError, match=rf"{kind.__name__} is another system .* between two steps .* by up to \d.*step\(x, u\)"
    ):
        dynsys.wrap(made(kind))


class ScalesInput(Sequence):
    def forward(self, u):
        return self.read(self.rnn(0.5 * u)[0])


class ClipsInput(Sequence):
    """Small inputs go through as they are."""

    def forward(self, u):
        return self.read(self.rnn(u.clamp(-10, 10))[0])


class Encodes(Sequence):
    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(3, 3)

    def forward(self, u):
        return self.read(self.rnn(self.encode(u))[0])


class FeedsBack(Loop):
    def forward(self, u):
        h, y = u.new_zeros(len(u), 5), u.new_zeros(len(u), 3)
        for t in range(u.shape[1]):
            h = self.cell(u[:, t] + y, h)
            y = nn.functional.pad(self.read(h), (0, 1))
        return y


class Backwards(Sequence):
    def forward(self, u):
        return self.read(self.rnn(u.flip(1))[0])


class Noisy(Sequence):
    def forward(self, u):
        return self.read(self.rnn(u + 0.1 * torch.randn_like(u))[0])


class Convolves(Sequence):
    """Needs three steps at least."""

    def __init__(self):
        super().__init__()
        self.over_time = nn.Conv1d(5, 5, 3)

    def say(self, h):
        return self.read(self.over_time(h.transpose(1, 2)).transpose(1, 2))


class Twice(Sequence):
    def forward(self, u):
        return self.read(self.rnn(u, self.rnn(u)[1])[0])


class Logarithm(Sequence):
    def forward(self, u):
        return self.read(self.rnn(torch.log1p(u))[0])


@pytest.mark.parametrize("kind", [ScalesInput, ClipsInput, Encodes, FeedsBack, Backwards, Noisy, Twice, Logarithm])
def test_an_input_that_is_changed_on_the_way_is_told(kind):
    with pytest.raises(ValueError, match=rf"{kind.__name__} changes .* before (rnn|cell) sees it.*dynsys.wrap\(module"):
        dynsys.wrap(made(kind))


class WidensInput(Loop):
    """The output is fed back beside the input, so that the cell has more inputs than the module."""

    def __init__(self):
        super().__init__(nn.GRUCell(5, 5))

    def forward(self, u):
        h, y = u.new_zeros(len(u), 5), u.new_zeros(len(u), 2)
        for t in range(u.shape[1]):
            h = self.cell(torch.cat([u[:, t], y], 1), h)
            y = self.read(h)
        return y


class Tokens(Sequence):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 3)

    def forward(self, u):
        return self.read(self.rnn(self.embed(u))[0])


class NoForward(nn.ModuleDict):
    def __init__(self):
        super().__init__({"rnn": nn.GRU(3, 5), "read": nn.Linear(5, 2)})


class WrongWidth(Sequence):
    def __init__(self):
        super().__init__()
        self.read = nn.Linear(3, 3)


@pytest.mark.parametrize("kind", [WidensInput, Tokens, NoForward, WrongWidth])
def test_a_module_that_cannot_be_run_is_not_guessed_at(kind):
    with pytest.raises(ValueError, match=r"could not be run on inputs of \d numbers.*dynsys.wrap\(module.(rnn|cell)"):
        dynsys.wrap(made(kind))


class Residual(Sequence):
    def __init__(self):
        super().__init__(nn.GRU(3, 3, batch_first=True))

    def forward(self, u):
        return self.read(self.rnn(u)[0] + u)


class Pooled(Sequence):
    def forward(self, u):
        return self.read(self.rnn(u)[0].mean(1))


class Attends(Sequence):
    def say(self, h):
        return self.read(torch.softmax(h @ h.transpose(1, 2), -1) @ h)


class SoftmaxOverTime(Sequence):
    def say(self, h):
        return torch.softmax(self.read(h), dim=1)


class SoftmaxOverRows(Sequence):
    def say(self, h):
        return torch.softmax(self.read(h), dim=0)


class DropsAlways(Sequence):
    def say(self, h):
        return self.read(nn.functional.dropout(h))


class SeesInput(Loop):
    def say(self, h, u):
        return self.read(h) + u[:, :2]


class Counts(Sequence):
    def say(self, h):
        return self.read(h) + torch.arange(h.shape[1])[:, None]


class OldState(Loop):
    """Says what it read from the state before the step."""

    def forward(self, input, hidden):
        return self.read(hidden), self.cell(input, hidden)


@pytest.mark.parametrize(
    "kind",
    [Residual, Pooled, Attends, SoftmaxOverTime, SoftmaxOverRows, DropsAlways, SeesInput, Counts, OldState],
)
def test_an_output_that_is_no_function_of_the_present_state_is_refused(kind):
    with pytest.raises(ValueError, match=rf"what {kind.__name__} says is not a function .*Give readout="):
        dynsys.wrap(made(kind))


@pytest.mark.parametrize("kind", [Residual, Pooled, Counts])
def test_a_readout_that_is_given_stands_for_it(kind):
    module = made(kind)
    system = dynsys.wrap(module, readout=module.read)
    plain = made(Sequence)
    plain.rnn = module.rnn
    u = sequence()
    with torch.no_grad():
        expected = copy.deepcopy(module.rnn).double()(u)[0]
    torch.testing.assert_close(through(system, u)[0], expected, rtol=0, atol=1e-12)
    assert system.n_output == 2


class StepLeaks(Loop):
    def forward(self, input, hidden):
        h = 0.5 * hidden + 0.5 * self.cell(input, hidden)
        return self.read(h), h


class SequenceLeaks(Loop):
    def forward(self, u, h=None):
        h = u.new_zeros(len(u), 5) if h is None else h
        said = []
        for t in range(u.shape[1]):
            h = 0.7 * h + 0.3 * self.cell(u[:, t], h)
            said.append(self.read(h))
        return torch.stack(said, 1), h


class ClampsGiven(Sequence):
    """The states that it is given are clamped, and those in between have no need to be."""

    def forward(self, u, h=None):
        h = None if h is None else h.clamp(-1, 1)
        out, h = self.rnn(u, h)
        return self.read(out), h


@pytest.mark.parametrize("kind", [StepLeaks, SequenceLeaks, ClampsGiven])
def test_a_module_that_takes_and_gives_its_state_is_stepped_where_it_does_more(kind):
    module = made(kind)
    system = dynsys.wrap(module)
    assert isinstance(system, Stepped)
    x, u = 3 * torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    given = {StepLeaks: (u, x), SequenceLeaks: (u[:, None], x), ClampsGiven: (u[:, None], x[None])}[kind]
    with torch.no_grad():
        end = copy.deepcopy(module).double()(*given)[1]
    torch.testing.assert_close(system.velocity(x, u) + x, end.reshape(6, 5), rtol=0, atol=1e-12)
    assert "does more to the state" in system.how


class StepPlain(Loop):
    def forward(self, input, hidden):
        h = self.cell(input, hidden)
        return torch.sigmoid(self.read(h)), h


def test_a_step_of_a_cell_is_the_cell_in_closed_form_with_its_readout():
    module = made(StepPlain)
    system = dynsys.wrap(module)
    assert not isinstance(system, Stepped)
    x, u = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    with torch.no_grad():
        said, new = copy.deepcopy(module).double()(u, x)
    torch.testing.assert_close(system.velocity(x, u) + x, new, rtol=0, atol=1e-12)
    torch.testing.assert_close(system.readout(new), said, rtol=0, atol=1e-12)


def test_an_end_that_is_changed_behind_the_last_step_is_output_and_no_state():
    class HalvesEnd(Sequence):
        def forward(self, u):
            out, h = self.rnn(u)
            return self.read(out), 0.5 * h

    module, u = made(HalvesEnd), sequence()
    system = dynsys.wrap(module)
    said, end = run(module, u)
    states, found = through(system, u)
    torch.testing.assert_close(found[:, :, :2], said, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[:, -1, 2:], end[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(states[:, -1], 2 * end[0], rtol=0, atol=1e-12)


class NormsEnd(Sequence):
    """A layer norm of the last h, in which the next call begins."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(5)

    def forward(self, u, h=None):
        out, h = self.rnn(u, h)
        return self.read(out), self.norm(h)


class LoopNormsEnd(Loop):
    def forward(self, u, h=None):
        h = u.new_zeros(len(u), 5) if h is None else h
        said = []
        for t in range(u.shape[1]):
            h = self.cell(u[:, t], h)
            said.append(self.read(h))
        return torch.stack(said, 1), torch.tanh(h)


@pytest.mark.parametrize(("kind", "part"), [(NormsEnd, "rnn"), (LoopNormsEnd, "cell")])
def test_where_one_call_ends_in_another_state_than_the_next_one_takes_neither_is_taken_for_granted(kind, part):
    with pytest.raises(ValueError, match=rf"sequence of two steps elsewhere.*dynsys\.wrap\(module\.{part}"):
        dynsys.wrap(made(kind))


def test_hooks_of_the_module_and_of_its_part_are_part_of_what_it_computes():
    module, u = made(Sequence), sequence()
    module.register_forward_hook(lambda m, i, o: torch.tanh(o))
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1], run(module, u), rtol=0, atol=1e-12)
    module = made(Sequence)
    module.register_forward_pre_hook(lambda m, i: (2 * i[0],))
    with pytest.raises(ValueError, match="changes its input"):
        dynsys.wrap(module)
    module = made(Loop)
    module.cell.register_forward_hook(lambda m, i, h: h * MASK)
    system = dynsys.wrap(module)
    assert isinstance(system, Stepped)
    torch.testing.assert_close(through(system, u)[1], run(module, u), rtol=0, atol=1e-12)
    module = made(Sequence)
    module.rnn.register_forward_hook(lambda m, i, given: (given[0] * MASK, given[1]))
    with pytest.raises(ValueError, match="does not compute what a GRU"):
        dynsys.wrap(module)


def test_weights_that_the_module_makes_of_its_input_are_no_system():
    class Hyper(Sequence):
        def forward(self, u):
            with torch.no_grad():
                self.rnn.bias_hh_l0.copy_(u.mean() * torch.ones(15))
            return self.read(self.rnn(u)[0])

    with pytest.raises(ValueError, match="is another system"):
        dynsys.wrap(made(Hyper))


def test_a_head_that_needs_several_steps_is_no_readout():
    with pytest.raises(ValueError, match=r"Convolves cannot be run with a state .* put in.*Give readout="):
        dynsys.wrap(made(Convolves))
    module = made(Convolves)
    assert dynsys.wrap(module, readout=module.read).n_output == 2


def test_a_call_that_is_tried_does_not_end_the_process():
    """torch's LSTMCell ends it where it gets one row of input and a batch of states, as in this loop over the batch."""

    class OverLSTM(Loop):
        def __init__(self):
            super().__init__(nn.LSTMCell(3, 5))

        def forward(self, u, state=None):
            h, c = (u.new_zeros(u.shape[0], 5),) * 2 if state is None else state
            said = []
            for t in range(u.shape[1]):
                h, c = self.cell(u[:, t], (h, c))
                said.append(self.read(h))
            return torch.stack(said, 1), (h, c)

    module, u = made(OverLSTM), sequence()
    torch.testing.assert_close(through(dynsys.wrap(module), u)[1], run(module, u)[0], rtol=0, atol=1e-12)


def test_two_recurrent_modules_are_not_chosen_between():
    class Two(Sequence):
        def __init__(self):
            super().__init__()
            self.second = nn.GRU(5, 5)

    with pytest.raises(ValueError, match=r"Two holds rnn, second.*dynsys.wrap\(module.rnn"):
        dynsys.wrap(made(Two))


def test_a_part_of_a_sequential_is_spelt_as_one_would():
    module = nn.Sequential(nn.GRU(3, 5), nn.Linear(5, 2))
    with pytest.raises(ValueError, match=r"dynsys.wrap\(module\[0\], readout=...\)"):
        dynsys.wrap(module)


def test_direction_and_layer_are_asked_of_the_part():
    with pytest.raises(ValueError, match=r"direction and layer .* dynsys.wrap\(module.rnn"):
        dynsys.wrap(made(Sequence), layer=0)


def test_inputs_of_another_size_than_the_module_s_are_refused():
    with pytest.raises(ValueError, match="n_input is 4, but this Sequence has 3"):
        dynsys.wrap(made(Sequence), n_input=4)
