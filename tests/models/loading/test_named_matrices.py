"""Matrices named one by one: the network is the equation of its form, whatever the file calls them."""

import numpy as np
import pytest
import torch

import dynsys
from dynsys.io.errors import CheckpointError
from dynsys.models.loading.checkpoint import describe_checkpoint
from dynsys.models.rate.leaky_rate import LeakyActivity, LeakyRate
from dynsys.testing import check_system

N, M, OUT = 5, 2, 3
RNG = np.random.default_rng(0)
J, B, b = RNG.standard_normal((N, N)), RNG.standard_normal((N, M)), RNG.standard_normal(N)
W_OUT, B_OUT = RNG.standard_normal((OUT, N)), RNG.standard_normal(OUT)
ARRAYS = {"J": J, "W_in": B, "bias": b, "out": W_OUT, "offset": B_OUT}
NAMES = {"recurrent": "J", "input": "W_in", "bias": "bias", "readout": "out", "readout_bias": "offset"}
F = {"tanh": np.tanh, "logistic": lambda y: 1 / (1 + np.exp(-y)), "relu": lambda y: np.maximum(y, 0)}
EQUATIONS = {
    "rnn": lambda f, x, u: (f(J @ x + B @ u + b) - x, W_OUT @ x + B_OUT),
    "rate": lambda f, x, u: (J @ f(x) + B @ u + b - x, W_OUT @ f(x) + B_OUT),
    "activity": lambda f, x, u: (f(J @ x + B @ u + b) - x, W_OUT @ x + B_OUT),
}


def assert_follows(system, form, activation="tanh"):
    x, u = np.random.default_rng(1).standard_normal((4, N)), np.random.default_rng(2).standard_normal((4, M))
    F_, z = system.velocity(torch.tensor(x), torch.tensor(u)), system.readout(torch.tensor(x))
    for i in range(4):
        velocity, readout = EQUATIONS[form](F[activation], x[i], u[i])
        np.testing.assert_allclose(F_[i], velocity, atol=1e-12)
        np.testing.assert_allclose(z[i], readout, atol=1e-12)


CASES = [(form, f) for form in EQUATIONS for f in F if (form, f) != ("rnn", "logistic")]


@pytest.mark.parametrize(("form", "activation"), CASES)
def test_each_form_is_its_equation(tmp_path, form, activation):
    np.savez(tmp_path / "net.npz", **ARRAYS)
    system = dynsys.load(tmp_path / "net.npz", form=form, matrices=NAMES, activation=activation)
    assert system.kind == ("map" if form == "rnn" else "flow")
    assert_follows(system, form, activation)
    check_system(system)
    equation = describe_checkpoint(tmp_path / "net.npz", form=form, matrices=NAMES, activation=activation)["equation"]
    assert activation in equation


@pytest.mark.parametrize("form", EQUATIONS)
def test_matrices_that_act_from_the_right_are_turned(tmp_path, form):
    np.savez(tmp_path / "net.npz", **{key: value.T for key, value in ARRAYS.items()})
    assert_follows(dynsys.load(tmp_path / "net.npz", form=form, matrices=NAMES, transposed=True), form)
    assert_follows(dynsys.load(tmp_path / "net.npz", form=form, matrices={**NAMES, "recurrent": "J.T"}), form)


@pytest.mark.parametrize("form", EQUATIONS)
def test_a_square_matrix_is_not_turned_because_another_one_was(tmp_path, form):
    """W x with u W_in and r W_out is a usual layout of rate networks; shapes tell the last two, nothing the first."""
    turned = {key: value.T if key in ("W_in", "out") else value for key, value in ARRAYS.items()}
    np.savez(tmp_path / "net.npz", **turned)
    assert_follows(dynsys.load(tmp_path / "net.npz", form=form, matrices=NAMES), form)
    (line,) = [a for a in describe_checkpoint(tmp_path / "net.npz", form=form, matrices=NAMES)["assumed"] if "J" in a]
    assert "recurrent J (5, 5) acts from the left" in line
    assert "--matrix recurrent='J.T'" in line


def test_fields_of_matlab_structs_are_named_with_dots(tmp_path):
    """Vectors of MATLAB are matrices of one column, and its sparse matrices have a type of their own."""
    from scipy.io import savemat
    from scipy.sparse import csc_matrix

    params = {"J": csc_matrix(J), "bias": b[:, None], "deep": {"out": W_OUT, "offset": B_OUT[None]}, "note": "a run"}
    savemat(tmp_path / "net.mat", {"params": {**params, "tau": 10.0}, "W_in": B})
    names = {**NAMES, "recurrent": "params.J", "bias": "params.bias"}
    names |= {"readout": "params.deep.out", "readout_bias": "params.deep.offset"}
    system = dynsys.load(tmp_path / "net.mat", form="rate", matrices=names)
    assert_follows(system, "rate")
    assert system.time_constant == 10.0
    assert dynsys.load(tmp_path / "net.mat", form="rate", matrices=names, tau=3).time_constant == 3.0


def test_structs_and_sparse_matrices_of_matlab_7_3(tmp_path):
    import h5py
    from scipy.sparse import csc_matrix

    with h5py.File(tmp_path / "net.mat", "w", userblock_size=512) as file:
        file["params/out"], file["params/offset"] = W_OUT.T, B_OUT[None]
        file["params/W_in"], file["params/bias"] = B.T, b[None]
        sparse, group = csc_matrix(J), file.create_group("params/J")
        group["data"], group["ir"], group["jc"] = sparse.data, sparse.indices, sparse.indptr
        group.attrs["MATLAB_sparse"] = N
    with open(tmp_path / "net.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    names = {role: f"params.{key}" for role, key in NAMES.items()}
    assert_follows(dynsys.load(tmp_path / "net.mat", form="activity", matrices=names), "activity")


def test_a_module_of_linear_layers_has_two_biases_that_add_up(tmp_path):
    """As in the many recurrent networks written by hand out of torch.nn.Linear."""
    weights = {"h2h.weight": J, "h2h.bias": b - 1, "input2h.weight": B, "input2h.bias": np.ones(N), "fc.weight": W_OUT}
    content = {f"rnn.{key}": torch.tensor(value) for key, value in weights.items()}
    torch.save({"state_dict": {**content, "fc.bias": torch.tensor(B_OUT)}}, tmp_path / "m.ckpt")
    with pytest.raises(CheckpointError, match=r"--matrix recurrent=rnn\.h2h\.weight"):
        dynsys.load(tmp_path / "m.ckpt")
    names = {"recurrent": "rnn.h2h.weight", "input": "state_dict.rnn.input2h.weight", "readout": "rnn.fc.weight"}
    names |= {"bias": "rnn.h2h.bias+state_dict.rnn.input2h.bias", "readout_bias": "fc.bias"}
    assert_follows(dynsys.load(tmp_path / "m.ckpt", form="activity", matrices=names), "activity")


def test_entries_of_a_cell_are_counted_from_one(tmp_path):
    from scipy.io import savemat

    cells = np.empty(2, dtype=object)
    cells[0], cells[1] = np.eye(3), J
    savemat(tmp_path / "net.mat", {"layers": cells})
    system = dynsys.load(tmp_path / "net.mat", form="rate", matrices={"recurrent": "layers.2"})
    np.testing.assert_array_equal(system.W, J)


def test_a_network_of_one_unit_keeps_its_matrices_in_matlab(tmp_path):
    """MATLAB knows no difference between a number and a 1 x 1 matrix."""
    from scipy.io import savemat

    savemat(tmp_path / "net.mat", {"w": 2.0, "v": [[1.0, 3.0]], "tau": 4.0})
    system = dynsys.load(tmp_path / "net.mat", form="rate", matrices={"recurrent": "w", "input": "v"})
    x, u = torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    np.testing.assert_allclose(system.velocity(x, u), [[2 * np.tanh(0.5) - 2 - 0.5]])
    assert system.time_constant == 4.0


def test_what_is_not_named_is_not_there_and_what_is_not_said_is_told(tmp_path):
    np.savez(tmp_path / "net.npz", **ARRAYS)
    told = describe_checkpoint(tmp_path / "net.npz", form="activity", matrices={"recurrent": "J"})
    assert (told["inputs"], told["outputs"]) == (0, 0)
    assert told["equation"] == "tau dr/dt = -r + tanh(W r + B u + b), z = W_out r + b_out"
    assert len(told["unused"]) == 4
    for option in ("--activation relu", "--transposed", "--tau"):
        assert option in " ".join(told["assumed"])


def test_the_same_fixed_points_in_both_forms(tmp_path):
    """y = W r + B u + b takes the rates of the one to the currents of the other."""
    np.savez(tmp_path / "net.npz", **{**ARRAYS, "J": 0.4 * J})
    currents = dynsys.load(tmp_path / "net.npz", form="rate", matrices=NAMES)
    rates = dynsys.load(tmp_path / "net.npz", form="activity", matrices=NAMES)
    r, u = torch.zeros(1, N, dtype=torch.float64), torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    for _ in range(2000):
        r = r + 0.1 * rates.velocity(r, u)
    y = r @ rates.W.T + u @ rates.B.T + rates.b
    assert float(rates.velocity(r, u).abs().max()) < 1e-12
    assert float(currents.velocity(y, u).abs().max()) < 1e-12


def test_the_initial_state_of_a_map_is_taken(tmp_path):
    np.savez(tmp_path / "net.npz", **ARRAYS, x0=np.arange(N)[None])
    system = dynsys.load(tmp_path / "net.npz", form="rnn", matrices={**NAMES, "initial": "x0"})
    assert system.initial_state.tolist() == list(range(N))


WRONG = {
    "no form": ({"matrices": {"recurrent": "J"}}, r"--form was not given; it holds J \(5, 5\)"),
    "no recurrent": ({"form": "rate"}, "--matrix recurrent=KEY was not given"),
    "no such key": ({"form": "rate", "matrices": {"recurrent": "W"}}, r"no array 'W'.*it holds J \(5, 5\)"),
    "not square": ({"form": "rate", "matrices": {"recurrent": "out"}}, r"out \(3, 5\) cannot be the recurrent"),
    "readout": ({"form": "rate", "matrices": {"recurrent": "J", "readout": "W_in[1:]"}}, r"needs \(any, 5\)"),
    "bias": ({"form": "rate", "matrices": {"recurrent": "J", "bias": "offset"}}, "it needs 5 values"),
    "lone bias": ({"form": "rate", "matrices": {"recurrent": "J", "readout_bias": "offset"}}, "name the readout too"),
    "tau": ({"form": "rnn", "matrices": NAMES, "tau": 3}, "a map has no time constant"),
    "part": ({"form": "rnn", "matrices": NAMES, "part": "rnn"}, "--part means nothing"),
    "text": ({"form": "rate", "matrices": {"recurrent": "label"}}, "its array label is of type <U1, not of real"),
    "nan": ({"form": "rate", "matrices": {"recurrent": "J", "bias": "gone"}}, "gone holds 5 values that are NaN"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_clear_error(tmp_path, case):
    choices, says = WRONG[case]
    np.savez(tmp_path / "net.npz", **ARRAYS, label=np.array(["a"]), gone=np.full(N, np.nan))
    with pytest.raises(CheckpointError, match=says):
        dynsys.load(tmp_path / "net.npz", **choices)


@pytest.mark.parametrize("kind", [LeakyRate, LeakyActivity])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"W": J[:4]}, r"B has shape|W has shape"),
        ({"B": B[:3]}, r"B has shape \(3, 2\); a network of 5 units needs \(5, m\)"),
        ({"b": np.ones(3)}, r"b has shape \(3,\)"),
        ({"W_out": W_OUT * np.inf}, "W_out holds 15 values that are NaN or infinite"),
        ({"activation": "sin"}, "'sin'; it can be tanh, logistic"),
        ({"tau": 0.0}, "tau is 0.0; it must be positive"),
    ],
    ids=str,
)
def test_leaky_networks_refuse_what_does_not_fit(kind, change, says):
    with pytest.raises(ValueError, match=says):
        kind(**{"W": J, "B": B, "b": b, "W_out": W_OUT, **change})


@pytest.mark.parametrize("kind", [LeakyRate, LeakyActivity])
def test_leaky_networks_come_back_from_a_checkpoint(tmp_path, kind):
    from dynsys.models.loading.checkpoint import save_checkpoint

    network = kind(J, B, b, W_OUT, B_OUT, activation="relu", tau=7.0)
    assert_follows(dynsys.load(save_checkpoint(tmp_path / "c.safetensors", network)), kind.name, "relu")
