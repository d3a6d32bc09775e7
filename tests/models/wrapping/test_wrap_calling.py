"""``dynsys.wrap`` finds out how a step is called: every way in which people write one, each compared with the cell."""

import pytest
import torch
from torch import nn

import dynsys
from dynsys.testing import check_system


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


class Cell(nn.Module):
    """h' = tanh(A u + B h), and an output; each kind below calls it in another way."""

    def __init__(self, outputs=2):
        super().__init__()
        self.drive, self.mix, self.read = nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, outputs)

    def new(self, u, h):
        return torch.tanh(self.drive(u) + self.mix(h))


class StateFirst(Cell):
    def forward(self, x, u):
        return self.new(u, x)


class InputFirst(Cell):
    def forward(self, input, hidden):
        return self.new(input, hidden)


class OutputFirst(Cell):
    def forward(self, input, hidden):
        h = self.new(input, hidden)
        return self.read(h), h


class GivesStateFirst(Cell):
    def forward(self, input, hidden):
        h = self.new(input, hidden)
        return h, self.read(h)


class TakesAndGivesStateFirst(Cell):
    def forward(self, hidden, input):
        h = self.new(input, hidden)
        return h, self.read(h)


class Both(Cell):
    """The output is the state."""

    def forward(self, input, hidden):
        h = self.new(input, hidden)
        return h, h


class TimeFirst(Cell):
    def forward(self, x, h):
        said = []
        for u in x:
            h = self.new(u, h)
            said.append(self.read(h))
        return torch.stack(said), h


class BatchFirst(Cell):
    def forward(self, x, h):
        said = []
        for t in range(x.shape[1]):
            h = self.new(x[:, t], h)
            said.append(self.read(h))
        return torch.stack(said, 1), h


class LastOutput(BatchFirst):
    """Its output has the shape of its state, which a second step tells apart."""

    def __init__(self):
        super().__init__(outputs=6)

    def forward(self, x, h):
        said, h = super().forward(x, h)
        return said[:, -1], h


class AllStates(Cell):
    """Gives the states of every step."""

    def forward(self, x, h):
        states = []
        for u in x:
            h = self.new(u, h)
            states.append(h)
        return self.read(torch.stack(states)), torch.stack(states)


class LayerAxis(Cell):
    def forward(self, input, h):
        h = self.new(input, h[0])
        return self.read(h), h[None]


class LayerAxisSecond(Cell):
    def forward(self, input, h):
        h = self.new(input, h[:, 0])
        return self.read(h), h[:, None]


class ByName(Cell):
    def forward(self, *, inputs, state):
        return self.new(inputs, state)


class StateThird(Cell):
    def forward(self, input, lengths=None, hx=None):
        h = self.new(input, hx)
        return self.read(h), h


class Mapping(Cell):
    def forward(self, input, hidden):
        h = self.new(input, hidden)
        return {"said": self.read(h), "h": h}


class Steps(Cell):
    """A method that is one step, of a module whose forward is not."""

    def forward(self, sequence):
        raise AssertionError("not called")

    def recurrence(self, input, hidden):
        return self.new(input, hidden)


ONE_STATE = {
    StateFirst: "x = StateFirst(x (B, 6), u (B, 3))",
    InputFirst: "h = InputFirst(input (B, 3), h (B, 6))",
    OutputFirst: "output, h = OutputFirst(input (B, 3), h (B, 6))",
    GivesStateFirst: "h, output = GivesStateFirst(input (B, 3), h (B, 6))",
    TakesAndGivesStateFirst: "x, output = TakesAndGivesStateFirst(x (B, 6), u (B, 3))",
    Both: "Both(input (B, 3), h (B, 6))",
    TimeFirst: "output, h = TimeFirst(input (1, B, 3), h (B, 6))",
    BatchFirst: "output, h = BatchFirst(input (B, 1, 3), h (B, 6))",
    LastOutput: "output, h = LastOutput(input (B, 1, 3), h (B, 6))",
    AllStates: "output, h = AllStates(input (1, B, 3), h (B, 6))",
    LayerAxis: "output, h = LayerAxis(input (B, 3), h (1, B, 6))",
    LayerAxisSecond: "output, h = LayerAxisSecond(input (B, 3), h (B, 1, 6))",
    ByName: "h = ByName(inputs=input (B, 3), state=h (B, 6))",
    StateThird: "output, h = StateThird(input=input (B, 3), hx=h (B, 6))",
    Mapping: "h = Mapping(input (B, 3), h (B, 6))['h']",
}


def places(n, m=3, B=5):
    draw = torch.Generator().manual_seed(0)
    return (torch.randn(B, k, generator=draw, dtype=torch.float64) for k in (n, m))


def tanh_of(module, u, h):
    """A u + B h through tanh, by the weights."""
    (A, a), (B, b) = ([p.detach().double() for p in part.parameters()] for part in (module.drive, module.mix))
    return torch.tanh(u @ A.T + a + h @ B.T + b)


@pytest.mark.parametrize("kind", ONE_STATE, ids=lambda kind: kind.__name__)
def test_a_step_is_called_as_it_is_written_and_the_system_says_how(kind):
    module = kind()
    system = dynsys.wrap(module, n_state=6, n_input=3)
    x, u = places(6)
    torch.testing.assert_close(system.velocity(x, u) + x, tanh_of(module, u, x), rtol=0, atol=1e-13)
    assert ONE_STATE[kind] in system.how
    assert system.how in repr(system)


def test_a_method_of_a_module_is_a_step():
    module = Steps()
    system = dynsys.wrap(module.recurrence, n_state=6, n_input=3)
    x, u = places(6)
    torch.testing.assert_close(system.velocity(x, u) + x, tanh_of(module, u, x), rtol=0, atol=1e-13)


class Pair(Cell):
    """c' = c / 2 + tanh(A u + B h),  h' = tanh(c')."""

    def forward(self, x, state):
        h, c = self.next(x, *state)
        return self.read(h), (h, c)

    def next(self, x, h, c):
        c = 0.5 * c + self.new(x, h)
        return torch.tanh(c), c


class PairToPair(Pair):
    def forward(self, x, state):
        return self.next(x, *state)


class Apart(Pair):
    def forward(self, x, h, c):
        return self.next(x, h, c)


class ApartWithOutput(Pair):
    def forward(self, x, h, c):
        h, c = self.next(x, h, c)
        return self.read(h), h, c


class PairOfLayers(Pair):
    def forward(self, x, state):
        h, c = self.next(x, *(part[0] for part in state))
        return self.read(h), (h[None], c[None])


class ListOfPairs(Pair):
    def forward(self, x, states):
        return None, [self.next(x, *state) for state in states]


@pytest.mark.parametrize("kind", [Pair, PairToPair, Apart, ApartWithOutput, PairOfLayers, ListOfPairs])
def test_a_pair_of_h_and_c_in_any_nesting(kind):
    module = kind()
    system = dynsys.wrap(module, n_state=12, n_input=3)
    x, u = places(12)
    h, c = x.chunk(2, 1)
    c = 0.5 * c + tanh_of(module, u, h)
    expected = torch.cat([torch.tanh(c), c], 1)
    torch.testing.assert_close(system.velocity(x, u) + x, expected, rtol=0, atol=1e-13)
    assert list(system.state_parts) == ["h_l0", "c_l0"]
    check_system(system)


class TwoLayers(nn.Module):
    """Two cells, the upper driven by h of the lower; h as a list."""

    def __init__(self):
        super().__init__()
        self.lower, self.upper = nn.GRUCell(3, 4), nn.GRUCell(4, 4)

    def forward(self, input, hidden):
        lower = self.lower(input, hidden[0])
        upper = self.upper(lower, hidden[1])
        return upper, [lower, upper]


class TwoLayersStacked(TwoLayers):
    def forward(self, input, hidden):
        upper, layers = super().forward(input, hidden)
        return upper, torch.stack(layers)


class TwoLayersOfPairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower, self.upper = nn.LSTMCell(3, 4), nn.LSTMCell(4, 4)

    def forward(self, input, hidden):
        lower = self.lower(input, hidden[0])
        upper = self.upper(lower[0], hidden[1])
        return upper[0], [lower, upper]


@pytest.mark.parametrize("kind", [TwoLayers, TwoLayersStacked, TwoLayersOfPairs])
def test_layers_by_hand_are_torch_s_layers(kind):
    """The same weights in nn.GRU and nn.LSTM, whose states lie in the same order."""
    module = kind()
    together = (nn.LSTM if kind is TwoLayersOfPairs else nn.GRU)(3, 4, 2)
    with torch.no_grad():
        for k, cell in enumerate((module.lower, module.upper)):
            for name, weight in cell.named_parameters():
                getattr(together, f"{name}_l{k}").copy_(weight)
    closed = dynsys.wrap(together)
    system = dynsys.wrap(module, n_state=closed.n_state, n_input=3)
    x, u = places(closed.n_state)
    torch.testing.assert_close(system.velocity(x, u), closed.velocity(x, u), rtol=0, atol=1e-13)
    assert system.state_parts == closed.state_parts


def test_a_step_without_inputs_may_take_the_state_alone():
    for step in (lambda x: torch.tanh(2 * x), lambda x, u: torch.tanh(2 * x), torch.nn.Tanh()):
        system = dynsys.wrap(step, n_state=3, n_input=0)
        check_system(system)
        x, u = places(3, 0)
        expected = torch.tanh(x if isinstance(step, nn.Tanh) else 2 * x)
        torch.testing.assert_close(system.velocity(x, u) + x, expected, rtol=0, atol=1e-15)


class SameShapes(Cell):
    """Output and state have one shape, and one step does not tell them apart."""

    def __init__(self):
        super().__init__(outputs=6)

    def forward(self, input, hidden):
        h = self.new(input, hidden)
        return self.read(h), h


def test_where_nothing_tells_output_from_state_the_user_is_asked():
    module = SameShapes()
    with pytest.raises(ValueError, match=r"h, output = SameShapes.* and as output, h = SameShapes.*") as told:
        dynsys.wrap(module, n_state=6, n_input=3)
    assert "convention='state first' or convention='output first'" in str(told.value)
    x, u = places(6)
    h = tanh_of(module, u, x)
    W, b = (p.detach().double() for p in module.read.parameters())
    for convention, expected in (("output first", h), ("state first", h @ W.T + b)):
        system = dynsys.wrap(module, n_state=6, n_input=3, convention=convention)
        torch.testing.assert_close(system.velocity(x, u) + x, expected, rtol=0, atol=1e-13)


def test_where_both_orders_fit_the_names_tell_or_the_user_is_asked():
    class Sum(nn.Module):
        def forward(self, a, b):
            return torch.tanh(a + 2 * b)

    class Told(nn.Module):
        def forward(self, u, h):
            return torch.tanh(u + 2 * h)

    x, u = torch.full((1, 3), 0.5, dtype=torch.float64), torch.zeros(1, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"x = Sum\(x \(B, 3\), u.* and as h = Sum\(input.*'step' or .*'cell'"):
        dynsys.wrap(Sum(), n_state=3, n_input=3)
    for system, factor in (
        (dynsys.wrap(Sum(), n_state=3, n_input=3, convention="step"), 1),
        (dynsys.wrap(Sum(), n_state=3, n_input=3, convention="cell"), 2),
        (dynsys.wrap(Told(), n_state=3, n_input=3), 2),
        (dynsys.wrap(lambda a, b: torch.tanh(a + 2 * b), n_state=3, n_input=3), 1),
    ):
        torch.testing.assert_close(system.velocity(x, u) + x, torch.tanh(factor * x))


def test_words_of_a_convention_go_together():
    system = dynsys.wrap(SameShapes(), n_state=6, n_input=3, convention="cell; output first; one step")
    assert "output, h" in system.how
    with pytest.raises(ValueError, match=r"convention is 'sell'; it may be 'step' or 'cell'"):
        dynsys.wrap(SameShapes(), n_state=6, n_input=3, convention="sell")
    with pytest.raises(ValueError, match=r"takes no step .* in the convention 'step; time first'"):
        dynsys.wrap(SameShapes(), n_state=6, n_input=3, convention="step; time first")


class Forgets(Cell):
    """Carries a trace that it neither takes nor gives, over a sequence."""

    def forward(self, x, h):
        trace = torch.zeros_like(h)
        for u in x:
            trace = 0.5 * trace + h
            h = self.new(u, h) + 0.3 * trace
        return self.read(h), h


def test_a_sequence_that_carries_more_than_it_gives_is_refused():
    with pytest.raises(ValueError, match=r"Forgets ends a sequence of two steps elsewhere .* by up to \d"):
        dynsys.wrap(Forgets(), n_state=6, n_input=3)


@pytest.mark.parametrize(
    ("module", "n_state", "message"),
    [
        (OutputFirst(), 7, r"takes no step with n_state=7.*mat1 and mat2"),
        (OutputFirst(), 12, r"takes no step with n_state=12.*takes a state of 6 numbers"),
        (BatchFirst(), 12, r"n_state=12"),
    ],
)
def test_a_state_of_the_wrong_size_is_named(module, n_state, message):
    with pytest.raises(ValueError, match=message):
        dynsys.wrap(module, n_state=n_state, n_input=3)


def test_a_cast_to_single_precision_inside_is_named():
    class Casts(Cell):
        def forward(self, x, u):
            return self.new(u.float(), x.float())

    with pytest.raises(ValueError, match=r"casts to another precision inside, by \.float\(\) .*, take that out"):
        dynsys.wrap(Casts(), n_state=6, n_input=3)


def test_chance_and_rows_that_are_mixed_are_named_with_the_call():
    class Chance(Cell):
        def forward(self, x, u):
            return self.new(u, x) + torch.randn(6)

    class Mixes(Cell):
        def forward(self, x, u):
            return self.new(u, x - x.mean(0))

    class MixesLarge(Cell):
        def forward(self, x, u):
            h = self.new(u, x)
            return 2 * h if h.abs().max() > 0.99 else h

    class Writes(Cell):
        def forward(self, x, u):
            x *= 0.5
            return self.new(u, x)

    class Counts(Cell):
        def forward(self, x, u):
            self.calls = getattr(self, "calls", 0) + 1
            return self.new(u, x) if self.calls % 50 else x

    with pytest.raises(ValueError, match=r"MixesLarge mixes the rows of a batch"):
        dynsys.wrap(MixesLarge(), n_state=6, n_input=3)
    with pytest.raises(ValueError, match=r"Writes takes no step.*writes to what it is given.*x\.clone\(\)"):
        dynsys.wrap(Writes(), n_state=6, n_input=3)
    with pytest.raises(ValueError, match=r"Counts (keeps something from call to call|answers differently|mixes)"):
        dynsys.wrap(Counts(), n_state=6, n_input=3)
    with pytest.raises(ValueError, match=r"Chance answers differently each time.*called as x = Chance"):
        dynsys.wrap(Chance(), n_state=6, n_input=3)
    with pytest.raises(ValueError, match=r"Mixes mixes the rows of a batch.*called as x = Mixes"):
        dynsys.wrap(Mixes(), n_state=6, n_input=3)


class Quits(nn.Module):
    """Its part is fine; to call the whole ends the process."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(2, 3)

    def forward(self, x, h=None):
        raise SystemExit("no GPU here")


@pytest.mark.parametrize("sizes", [{}, {"n_state": 3, "n_input": 2}])
def test_a_module_that_ends_the_process_ends_in_one_line(sizes):
    with pytest.raises(ValueError, match="SystemExit: no GPU here") as told:
        dynsys.wrap(Quits(), **sizes)
    assert "\n" not in str(told.value)


def test_so_does_a_readout_that_does_and_a_function_of_a_map():
    def quits(*_):
        raise SystemExit(3)

    with pytest.raises(ValueError, match="SystemExit"):
        dynsys.wrap(nn.RNN(2, 3), readout=quits)
    with pytest.raises(ValueError, match="SystemExit"):
        dynsys.find_fixed_points(dynsys.Map(quits, n_state=2, bounds=(-1, 1)), n_starts=4)


def test_where_only_a_wrong_call_ends_the_process_the_right_one_is_found():
    class Strict(nn.Module):
        def forward(self, x, u):
            if x.ndim != 2 or x.shape[1] != 3 or u.shape[1] != 2:
                raise SystemExit("called in a wrong way")
            return torch.tanh(0.5 * x + u.sum(dim=1, keepdim=True))

    assert dynsys.wrap(Strict(), n_state=3, n_input=2).n_state == 3
