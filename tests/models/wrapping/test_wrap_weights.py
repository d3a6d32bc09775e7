"""``dynsys.wrap`` and what a module uses: weights that hooks compute, hooks of its own, and the module left untouched.

The truth is the module itself, copied by loading its weights into one made anew, in float64 and evaluation mode.
"""

import copy
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

import dynsys
from dynsys.models.wrapping.steps.stepped import Stepped
from dynsys.testing import check_system

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


COMPUTED = {
    "weight_norm": lambda cell: weight_norm(cell, "weight_hh_l0"),
    "spectral_norm": lambda cell: spectral_norm(cell, "weight_hh_l0"),
    "pruned": lambda cell: prune.random_unstructured(cell, "weight_hh_l0", amount=0.5),
    "pruned twice": lambda cell: prune.l1_unstructured(COMPUTED["pruned"](cell), "weight_ih_l0", amount=0.3),
    "weight_norm, new": lambda cell: parametrizations.weight_norm(cell, "weight_hh_l0"),
    "spectral_norm, new": lambda cell: parametrizations.spectral_norm(cell, "weight_hh_l0"),
    "orthogonal": lambda cell: parametrizations.orthogonal(cell, "weight_hh_l0"),
    "of one's own": lambda cell: parametrize.register_parametrization(cell, "weight_hh_l0", Doubled()) or cell,
}
KINDS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class Doubled(nn.Module):
    def forward(self, W):
        return 2 * W


class WeightDrop(nn.Module):
    """Dropout of recurrent weights, as people write it: the weight is put into the cell before each pass."""

    def __init__(self, cell, share=0.5):
        super().__init__()
        raw = cell.weight_hh_l0
        del cell._parameters["weight_hh_l0"]
        self.cell, self.weight_hh_l0_raw, self.share = cell, nn.Parameter(raw.data), share
        self.drop()

    def drop(self):
        self.cell.weight_hh_l0 = nn.functional.dropout(self.weight_hh_l0_raw, self.share, training=self.training)

    def forward(self, *given):
        self.drop()
        return self.cell(*given)


def places(system, B=6, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(B, system.n_state, generator=draw, dtype=torch.float64) * 2 - 1
    return x, torch.randn(B, system.n_input, generator=draw, dtype=torch.float64)


def exact(module):
    """The module in float64 and evaluation mode, without the tensors with a history that keep it from being copied."""
    for part in module.modules():
        for store in (vars(part), part._buffers):
            for key, value in store.items():
                if isinstance(value, torch.Tensor):
                    store[key] = value.detach()
    return copy.deepcopy(module).eval().double()  # in training mode, spectral_norm iterates in double()


def step_of(module, x, u):
    """One step of torch's module, a sequence of one, with h of its layer and then c."""
    state = x[None] if not isinstance(module, nn.LSTM) else tuple(half[None].contiguous() for half in x.chunk(2, 1))
    with torch.no_grad():
        end = module(u[None], state)[1]
    return torch.cat(end, 2)[0] if isinstance(end, tuple) else end[0]


def assert_steps(system, module):
    x, u = places(system)
    torch.testing.assert_close(system.velocity(x, u) + x, step_of(module, x, u), rtol=0, atol=1e-12)


def scaled(make, kind, loaded):
    """A module of which the weights have changed since its hooks were made, by loading or by a step of training."""
    torch.manual_seed(0)
    trained = make(KINDS[kind](3, 6))
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(1.5)
    if not loaded:
        return trained
    torch.manual_seed(1)
    fresh = make(KINDS[kind](3, 6))
    fresh.load_state_dict(trained.state_dict())
    return fresh


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "trained on"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COMPUTED)
def test_weights_are_those_that_the_module_would_compute_now(name, kind, loaded):
    module = scaled(COMPUTED[name], kind, loaded)
    system = dynsys.wrap(module)
    assert "closed form" in system.how
    copied = COMPUTED[name](KINDS[kind](3, 6))
    copied.load_state_dict(module.state_dict())
    assert_steps(system, exact(copied))


def test_a_copy_in_training_mode_iterates_no_spectral_norm():
    rnn = parametrizations.spectral_norm(nn.RNN(3, 6), "weight_hh_l0")
    rnn.load_state_dict({key: torch.randn_like(value) for key, value in rnn.state_dict().items()})
    norm = rnn.parametrizations.weight_hh_l0
    u, v, W = (t.detach().double() for t in (norm[0]._u, norm[0]._v, norm.original))
    system = dynsys.wrap(rnn)  # in training mode, in which looking at the weight changes u and v
    x, held = places(system)
    bias, W_ih = (rnn.bias_ih_l0 + rnn.bias_hh_l0).detach().double(), rnn.weight_ih_l0.detach().double()
    expected = torch.tanh(x @ (W / (u @ W @ v)).T + held @ W_ih.T + bias)
    torch.testing.assert_close(x + system.velocity(x, held), expected, rtol=0, atol=1e-6)


def test_weights_that_are_dropped_at_random_are_whole():
    torch.manual_seed(0)
    dropped = WeightDrop(nn.GRU(3, 6))
    system = dynsys.wrap(dropped)
    plain = nn.GRU(3, 6)
    plain.load_state_dict({**dropped.cell.state_dict(), "weight_hh_l0": dropped.weight_hh_l0_raw})
    assert_steps(system, exact(plain))


@pytest.mark.parametrize("into_parameters", [False, True])
def test_a_cell_with_a_weight_that_another_module_puts_there_is_not_taken_alone(into_parameters):
    dropped = WeightDrop(nn.GRU(3, 6))
    if into_parameters:
        dropped.cell._parameters["weight_hh_l0"] = vars(dropped.cell).pop("weight_hh_l0")
    with pytest.raises(ValueError, match=r"weight_hh_l0 of this GRU is no parameter.*give the module that does it"):
        dynsys.wrap(dropped.cell)


@pytest.mark.parametrize("normed", [weight_norm, parametrizations.weight_norm, spectral_norm])
def test_a_readout_has_the_weights_of_the_moment_too(normed):
    readout = normed(nn.Linear(6, 2))
    trained = normed(nn.Linear(6, 2))
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.mul_(1.5)
    readout.load_state_dict(trained.state_dict())
    system = dynsys.wrap(nn.GRU(3, 6), readout)
    x = places(system)[0]
    copied = normed(nn.Linear(6, 2))
    copied.load_state_dict(trained.state_dict())
    torch.testing.assert_close(system.readout(x), exact(copied)(x).detach(), rtol=0, atol=1e-12)


HOOKS = {
    "h is masked": lambda m: m.register_forward_hook(lambda m, i, h: h * torch.tensor([1.0, 1, 0, 1, 1, 1])),
    "h is clipped": lambda m: m.register_forward_hook(lambda m, i, h: h.clamp(-0.2, 0.2)),
    "h leaks": lambda m: m.register_forward_hook(lambda m, i, h: 0.3 * h + 0.7 * i[1]),
    "the input is scaled": lambda m: m.register_forward_pre_hook(lambda m, i: (0.5 * i[0], *i[1:])),
    "h is scaled before": lambda m: m.register_forward_pre_hook(lambda m, i: (i[0], 0.5 * i[1])),
    "large h are clipped": lambda m: m.register_forward_hook(lambda m, i, h: h.clamp(-20, 20)),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_cell_is_stepped_with_its_hooks(hook):
    torch.manual_seed(0)
    cell = nn.GRUCell(3, 6)
    HOOKS[hook](cell)
    system = dynsys.wrap(cell)
    assert isinstance(system, Stepped)
    assert "hooks" in system.how
    x, u = places(system)
    x = x * torch.tensor([[1.0], [1], [1], [10], [30], [100]], dtype=torch.float64)
    with torch.no_grad():
        expected = exact(cell)(u, x)
    torch.testing.assert_close(system.velocity(x, u) + x, expected, rtol=1e-12, atol=1e-12)
    check_system(system)


def test_hooks_that_change_nothing_leave_the_closed_form():
    cell = nn.LSTMCell(3, 6)
    cell.register_forward_hook(lambda *_: None)
    assert "closed form" in dynsys.wrap(cell).how


def test_a_hook_before_a_sequence_is_one_before_each_step():
    gru = nn.GRU(3, 6)
    gru.register_forward_pre_hook(lambda m, i: (0.5 * i[0], *i[1:]))
    system = dynsys.wrap(gru)
    x, u = places(system)
    plain = nn.GRU(3, 6)
    plain.load_state_dict(gru.state_dict())
    torch.testing.assert_close(system.velocity(x, u) + x, step_of(exact(plain), x, 0.5 * u), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "hook",
    [
        lambda m, i, given: (given[0], 0.5 * given[1]),
        lambda m, i, given: (0.5 * given[0], 0.5 * given[1]),
        lambda m, i, given: (given[0].tanh(), given[1]),
    ],
    ids=["the end", "both", "the output"],
)
def test_a_hook_behind_a_sequence_is_no_step_and_is_refused_with_its_size(hook):
    """It acts once behind the last step, whatever the length: no system does that."""
    gru = nn.GRU(3, 6)
    gru.register_forward_hook(hook)
    with pytest.raises(ValueError, match=r"this GRU does not compute .* hooks .* by up to \d.*Take that off, or give"):
        dynsys.wrap(gru)


def test_a_method_put_in_place_of_forward_is_seen():
    cell = nn.GRUCell(3, 6)
    cell.forward = lambda u, h: 0.5 * nn.GRUCell.forward(cell, u, h)
    with pytest.raises(ValueError, match=r"GRUCell (does not compute|cannot be run)"):
        dynsys.wrap(cell)


def test_derivatives_that_a_backward_hook_changes_are_those_of_the_step():
    class Step(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x, u):
            return torch.tanh(self.inner(x))

    module = Step()
    module.inner.register_full_backward_hook(lambda m, given, out: (0 * given[0],))
    check_system(dynsys.wrap(module, n_state=4, n_input=0))


class Keeping(nn.Module):
    """Keeps what it computed last, which torch refuses to copy."""

    def __init__(self):
        super().__init__()
        self.rnn, self.read = nn.GRU(3, 6), nn.Linear(6, 2)
        self.kept, self.all = None, []

    def forward(self, u):
        self.kept = self.rnn(u)[0]
        self.all.append(self.kept)
        return self.read(self.kept)


def test_a_module_that_keeps_its_last_activation_is_taken():
    module = Keeping()
    module(torch.randn(2, 3, 3))
    system = dynsys.wrap(module)
    assert len(module.all) == 1
    plain = nn.GRU(3, 6)
    plain.load_state_dict(module.rnn.state_dict())
    assert_steps(system, exact(plain))
    x, (W, b) = places(system)[0], (p.detach().double() for p in module.read.parameters())
    torch.testing.assert_close(system.readout(x), x @ W.T + b, rtol=0, atol=1e-12)


class KeepingStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x, u):
        self.kept = self.inner(x)
        return torch.tanh(self.kept)


def test_a_step_that_keeps_what_it_computes_and_reads_it_again_is_safe_among_threads():
    module = KeepingStep()
    module(torch.randn(2, 4), None)
    check_system(dynsys.wrap(module, n_state=4, n_input=0))
    points = dynsys.find_fixed_points(dynsys.wrap(module, n_state=4, n_input=0), n_starts=64, workers=4)
    W, b = (p.detach().double().numpy() for p in module.inner.parameters())
    assert len(points) > 0
    for x in points.states:
        np.testing.assert_allclose(np.tanh(W @ x + b), x, atol=1e-9)


SEEN_BY_ALL = []


class Recorder:
    def __init__(self):
        self.seen = []

    def __call__(self, module, given, out):
        self.seen.append(out)

    def method(self, module, given, out):
        self.seen.append(out)


def storing():
    """Modules with hooks that store what they see, and where they store it."""
    cell, seen = nn.GRUCell(3, 6), []
    cell.register_forward_hook(lambda m, i, o: seen.append(o))
    yield "closure", cell, seen
    cell, seen = nn.GRUCell(3, 6), {}
    cell.register_forward_hook(lambda m, i, o, seen=seen: seen.update(last=o))
    yield "default", cell, seen
    cell = nn.GRUCell(3, 6)
    cell.register_forward_hook(lambda m, i, o: SEEN_BY_ALL.append(o))
    yield "global", cell, SEEN_BY_ALL
    for kind in ("object", "method"):
        cell, recorder = nn.GRUCell(3, 6), Recorder()
        cell.register_forward_hook(recorder if kind == "object" else recorder.method)
        yield kind, cell, recorder.seen
    cell, count = nn.GRUCell(3, 6), torch.zeros(1)
    cell.register_forward_pre_hook(lambda m, i: count.add_(1) and None)
    yield "counter", cell, count
    cell, seen = nn.GRUCell(3, 6), []

    def outer(m, i, o):
        def inner():
            seen.append(o)

        inner()

    cell.register_forward_hook(outer)
    yield "nested", cell, seen


STORING = {name: (cell, seen) for name, cell, seen in storing()}


@pytest.mark.parametrize(("cell", "seen"), STORING.values(), ids=STORING.keys())
def test_hooks_that_store_what_they_see_store_nothing_of_ours(cell, seen):
    before = copy.deepcopy(seen)
    system = dynsys.wrap(cell)
    system.velocity(*places(system))
    assert torch.equal(seen, before) if isinstance(seen, torch.Tensor) else seen == before


def snapshot(module):
    """All of a module that a user could find changed, with the random streams and torch's settings."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for path, part in module.named_modules():
        tensors += [(f"{path}.{key}", value) for key, value in vars(part).items() if isinstance(value, torch.Tensor)]
    return (
        [(k, id(p), p.detach().clone(), p.requires_grad, p.is_leaf, id(p.grad_fn), p._version) for k, p in tensors],
        [None if p.grad is None else (id(p.grad), p.grad.clone()) for p in module.parameters()],
        [(part.training, sorted(vars(part)), type(part)) for part in module.modules()],
        [(dict(part._forward_hooks), dict(part._forward_pre_hooks)) for part in module.modules()],
        (torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()),
        (torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()),
    )


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


class Normed(nn.Module):
    """A step with buffers that change in every pass of training, and chance of every source in training."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm = spectral_norm(nn.Linear(4, 4)), nn.BatchNorm1d(4)

    def forward(self, x, u):
        scale = 1 + random.random() + np.random.rand() + torch.rand(1) if self.training else 1.0
        return torch.tanh(self.norm(self.inner(x))) * scale


TOUCHED = {
    "spectral_norm": (lambda: spectral_norm(nn.GRU(3, 6), "weight_hh_l0"), {}),
    "spectral_norm, new": (lambda: parametrizations.spectral_norm(nn.GRU(3, 6), "weight_hh_l0"), {}),
    "weight_norm": (lambda: weight_norm(nn.LSTM(3, 6), "weight_hh_l0"), {}),
    "pruned": (lambda: prune.random_unstructured(nn.RNN(3, 6), "weight_hh_l0", amount=0.5), {}),
    "WeightDrop": (lambda: WeightDrop(nn.GRU(3, 6)), {}),
    "keeping": (Keeping, {}),
    "batch norm": (Normed, {"n_state": 4, "n_input": 0}),
}


@pytest.mark.parametrize("name", TOUCHED)
@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_module_is_changed(name, training):
    make, sizes = TOUCHED[name]
    module = make().train(training)
    next(module.parameters()).requires_grad_(False)
    if isinstance(module, Keeping):
        module(torch.randn(2, 3, 3))
    before = snapshot(module)
    system = dynsys.wrap(module, **sizes)
    x, u = places(system)
    system.jacobian(x, u)
    system.transposed_product(x, u, x)
    system.readout(x)
    system.to(dtype=torch.float32)
    assert equal(snapshot(module), before)


class Complex(nn.Module):
    """h' = tanh(Re(W h)) with a complex W, of which the imaginary part counts through W^2."""

    def __init__(self):
        super().__init__()
        self.W = nn.Parameter(torch.randn(4, 4, dtype=torch.complex64, generator=torch.Generator().manual_seed(0)))

    def forward(self, x, u):
        z = x.to(self.W.dtype) @ self.W @ self.W
        return torch.tanh(z.real)


def test_complex_weights_keep_their_imaginary_parts():
    module = Complex()
    W = module.W.detach().numpy().astype(np.complex128)
    x = np.random.default_rng(0).standard_normal((5, 4))
    system = dynsys.wrap(module, n_state=4, n_input=0)
    found = system.velocity(torch.as_tensor(x), torch.zeros(5, 0, dtype=torch.float64)) + torch.as_tensor(x)
    np.testing.assert_allclose(found, np.tanh((x @ W @ W).real), atol=1e-12)
    assert module.W.dtype == torch.complex64


def test_complex_weights_of_a_recurrent_module_and_complex_states_are_refused():
    gru = nn.GRU(3, 6)
    gru.weight_hh_l0 = nn.Parameter(torch.randn(18, 6, dtype=torch.complex64))
    with pytest.raises(ValueError, match="weight_hh_l0 of this GRU is complex"):
        dynsys.wrap(gru)
    with pytest.raises(ValueError, match="complex128"):
        dynsys.wrap(lambda x, u: x * (1 + 1j), n_state=3, n_input=0)


class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.drive = nn.Linear(4, 4), nn.Linear(2, 4)

    def forward(self, x, u):
        return torch.tanh(self.inner(x) + self.drive(u))


AROUND = {
    "compiled": torch.compile,
    "data parallel": nn.DataParallel,
    "scripted": torch.jit.script,
    "traced": lambda module: torch.jit.trace(module, (torch.randn(3, 4), torch.randn(3, 2))),
    "half": lambda module: copy.deepcopy(module).half(),
}


@pytest.mark.parametrize("around", AROUND)
def test_modules_in_other_modules_and_forms_are_what_they_compute(around):
    torch.manual_seed(0)
    module = Step()
    system = dynsys.wrap(AROUND[around](module), n_state=4, n_input=2)
    x, u = places(system)
    with torch.no_grad():
        truth = module.half() if around == "half" else module
        expected = exact(truth)(x, u)
    torch.testing.assert_close(system.velocity(x, u) + x, expected, rtol=0, atol=1e-12)
    check_system(system)


@pytest.mark.parametrize("around", [torch.compile, nn.DataParallel])
def test_a_recurrent_module_is_found_inside(around):
    gru = nn.GRU(3, 6)
    assert_steps(dynsys.wrap(around(gru)), exact(gru))


def lazy():
    return nn.Sequential(nn.LazyLinear(4))


def with_a_buffer_on_meta():
    module = nn.Linear(3, 3)
    module.register_buffer("mask", torch.ones(3, device="meta"))
    return module


def quantised(module):
    return pytest.importorskip("torch.ao.quantization").quantize_dynamic(module, {nn.Linear, nn.GRU})


def sparse():
    module = Step()
    module.inner.weight = nn.Parameter(torch.eye(4).to_sparse(), requires_grad=False)
    return module


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lazy, r"0\.weight of Sequential has no shape yet.*run the module once"),
        (lambda: nn.GRU(3, 6, device="meta"), "on the device 'meta'"),
        (with_a_buffer_on_meta, "on the device 'meta'"),
        (lambda: quantised(Step()), "inner of Step is quantised.*give the module as it was before"),
        (lambda: quantised(nn.Sequential(nn.GRU(3, 3))), "0 of Sequential is quantised"),
        (sparse, "quantised or sparse"),
    ],
    ids=["lazy", "meta", "meta buffer", "quantised", "quantised GRU", "sparse"],
)
def test_modules_without_numbers_to_analyse_get_one_line(make, message):
    with pytest.raises(ValueError, match=message) as told:
        dynsys.wrap(make(), n_state=3, n_input=0)
    assert "\n" not in str(told.value)


def test_a_scripted_module_without_sizes_is_asked_for_them():
    with pytest.raises(ValueError, match="n_state is not given"):
        dynsys.wrap(torch.jit.script(nn.GRU(3, 6)))


def test_a_module_that_cannot_be_copied_is_told_so_in_one_line():
    import threading

    module = Step()
    module.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"Step cannot be copied \(.*lock.*\); give a function step"):
        dynsys.wrap(module, n_state=4, n_input=2)


def test_tensors_that_are_no_parameters_are_computed_with_in_float64_too():
    class Masked(Step):
        def __init__(self):
            super().__init__()
            self.mask = torch.rand(4, 4)

        def forward(self, x, u):
            return torch.tanh(x @ self.mask + self.drive(u))

    module = Masked()
    system = dynsys.wrap(module, n_state=4, n_input=2)
    x, u = places(system)
    W, b = (p.detach().double() for p in module.drive.parameters())
    expected = torch.tanh(x @ module.mask.double() + u @ W.T + b)
    torch.testing.assert_close(system.velocity(x, u) + x, expected, rtol=0, atol=1e-13)
    assert module.mask.dtype == torch.float32
    assert system.single_precision
