"""Matrices said as expressions of a file's arrays: what may stand in them, and that nothing else is ever worked out."""

import numpy as np
import pytest

from dynsys.models.loading.named.expressions import ExpressionError, evaluate, keys_in

RNG = np.random.default_rng(0)
m, n = RNG.standard_normal((6, 2)), RNG.standard_normal((6, 2))
W, MASK = RNG.standard_normal((6, 6)), (RNG.random((6, 6)) < 0.5)
SIGNS = np.array([1, 1, 1, 1, -1, -1.0])
BOTH = RNG.standard_normal((6, 9))
ARRAYS = {
    "m": m,
    "n": n,
    "W_rec": W,
    "W": 2 * W,
    "mask": MASK,
    "Dale_rec": np.diag(SIGNS),
    "signs": SIGNS[:, None],
    "affine.weight": BOTH,
    "layers.2.W": W + 1,
    "rnn/cell/kernel:0": W - 1,
    "0.weight": 3 * W,
    "a+b": 4 * W,
    "norm": SIGNS,
}
RIGHT = {
    "m @ n.T / 512": m @ n.T / 512,
    "abs(W_rec * mask) @ Dale_rec": np.abs(W * MASK) @ np.diag(SIGNS),
    "abs(W_rec*mask)@diag(signs)": np.abs(W * MASK) * SIGNS,
    "affine.weight[:, 3:]": BOTH[:, 3:],
    "affine.weight[:, -6:].T": BOTH[:, 3:].T,
    "W + W_rec": 3 * W,
    "-W_rec - W": -3 * W,
    "layers.2.W.T": (W + 1).T,
    "rnn/cell/kernel:0": W - 1,
    "0.weight / 3": W,
    "'a+b' / 4": W,
    "a+b / 4": W,  # the longest key that stands there, then the division
    "norm * norm(norm)": SIGNS * np.sqrt(6),
    "W_rec / norm(W_rec, 1)": W / np.linalg.norm(W, axis=1, keepdims=True),
    "where(W_rec > 0, W_rec, 0.5 * W_rec)": np.where(W > 0, W, 0.5 * W),
    "relu(W_rec)": np.maximum(W, 0),
    "concatenate([m, n], axis=1)": np.concatenate([m, n], axis=1),
    "concatenate((m, n))": np.concatenate([m, n]),
    "W_rec[::-1]": W[::-1],
    "W_rec[0]": W[0],
    "1e-3 * W_rec": 1e-3 * W,
}
WRONG = {
    "W_rec.shape": r"holds \.shape",
    "W_rec ** 2": r"holds \*\*",
    "__import__('os').system('true')": "no array '__import__'",
    "open('x')": "no array 'open'",
    "(lambda: W_rec)()": "a call of",
    "W_rec @ nothing": "no array 'nothing'",
    "rnn.kernel": "no array 'rnn.kernel'",
    "m @ W_rec": r"m \(6, 2\), W_rec \(6, 6\)",
    "W_rec[[0, 1]]": "a whole number or a slice",
    "W_rec[m]": "a whole number or a slice",
    "W_rec; m": "is no expression",
    "": "is no expression",
    "W_rec if 1 else m": "holds a ifexp",
    "abs": "holds a name",
    "abs(W_rec, W_rec)": "cannot be worked out",
    "norm(W_rec, keepdims=0)": "axis=, nothing else",
    "diag()": "cannot be worked out",
    "W_rec +": "is no expression",
    "'text' * W_rec": "holds a constant",
    "[k for k in m]": "no array 'k'",
    "W_rec" + " + W_rec" * 3000: "too long",
    "(" * 900 + "W_rec" + ")" * 900: "is no expression",
}


@pytest.mark.parametrize("text", RIGHT)
def test_an_expression_is_what_numpy_makes_of_the_arrays(text):
    np.testing.assert_allclose(evaluate(text, ARRAYS), RIGHT[text], rtol=0, atol=1e-15)


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:40])
def test_nothing_else_is_worked_out(text):
    with pytest.raises(ExpressionError, match=WRONG[text]):
        evaluate(text, ARRAYS)


def test_the_arrays_that_play_a_part_are_those_that_are_named():
    assert keys_in("abs(W_rec * mask) @ Dale_rec", ARRAYS) == ("W_rec", "mask", "Dale_rec")
    assert keys_in("layers.2.W + W.T", ARRAYS) == ("layers.2.W", "W")
    assert keys_in("norm(W)", ARRAYS) == ("W",)  # the function, although there is an array of that name


def test_two_vectors_make_no_matrix_that_fills_the_memory():
    long = {"v": np.zeros((60_000, 1))}
    with pytest.raises(ExpressionError, match="larger than any network's matrix"):
        evaluate("v @ v.T", long)
    with pytest.raises(ExpressionError, match="larger than any network's matrix"):
        evaluate("v + v.T", long)
    with pytest.raises(ExpressionError, match="larger than any network's matrix"):
        evaluate("diag(v)", long)
