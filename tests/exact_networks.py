"""The networks once more, in 50 digits and from their weights alone: what the tests of error bounds compare with."""

import mpmath
from mpmath import mpf, tanh

DIGITS = 50


def sigma(x):
    return 1 / (1 + mpmath.exp(-x))


def relu(x):
    return x if x > 0 else mpf(0)


def softplus(x):
    return relu(x) + mpmath.log1p(mpmath.exp(-abs(x)))


def elu(x):
    return x if x > 0 else mpmath.expm1(x)


def hard_sigmoid(slope):
    return lambda x: min(max(mpf(slope) * x + mpf(1) / 2, mpf(0)), mpf(1))


def power(p):
    return lambda x: x ** mpf(p) if x > 0 else mpf(0)


FUNCTIONS = {
    "tanh": tanh,
    "logistic": sigma,
    "relu": relu,
    "softplus": softplus,
    "identity": lambda x: x,
    "hard-sigmoid": hard_sigmoid(1 / 6),
    "hard-sigmoid-0.2": hard_sigmoid(0.2),
    "erf": mpmath.erf,
    "elu": elu,
    "retanh": lambda x: tanh(relu(x)),
    "relu^2": power(2),
    "relu^3": power(3),
    "relu^1.5": power(1.5),
    "relu^2.5": power(2.5),
}
SLOPES = {  # on a kink that from below
    "tanh": lambda x: mpmath.sech(x) ** 2,
    "logistic": lambda x: sigma(x) * sigma(-x),
    "relu": lambda x: mpf(x > 0),
    "softplus": sigma,
    "identity": lambda x: mpf(1),
    "hard-sigmoid": lambda x: mpf(1 / 6) * (-3 < x < 3),
    "hard-sigmoid-0.2": lambda x: mpf(0.2) * (-2.5 < x < 2.5),
    "erf": lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x),
    "elu": lambda x: mpmath.exp(min(x, mpf(0))),
    "retanh": lambda x: mpmath.sech(x) ** 2 * (x > 0),
    "relu^2": lambda x: 2 * relu(x),
    "relu^3": lambda x: 3 * relu(x) ** 2,
    "relu^1.5": lambda x: mpf(1.5) * mpmath.sqrt(relu(x)),
    "relu^2.5": lambda x: mpf(2.5) * relu(x) ** mpf(1.5),
}


def numbers(values):
    """Nested lists of float64 as numbers of 50 digits; every float64 is one of them."""
    return [numbers(v) for v in values] if isinstance(values, list) else mpf(values)


def times(W, x):
    return [mpmath.fdot(row, x) for row in W]


def plus(*vectors):
    return [mpmath.fsum(terms) for terms in zip(*vectors, strict=True)]


class Rate:
    """-x + W r(x) + B u + b, and -r + f(W r + B u + b) with ``activity``."""

    def __init__(self, W, B, b, activation, activity=False):
        self.W, self.B, self.b = numbers(W.tolist()), numbers(B.tolist()), numbers(b.tolist())
        self.f, self.activity = FUNCTIONS[activation], activity

    def velocity(self, x, u):
        drive = plus(times(self.B, u), self.b) if u else self.b
        if self.activity:
            new = [self.f(y) for y in plus(times(self.W, x), drive)]
        else:
            new = plus(times(self.W, [self.f(y) for y in x]), drive)
        return [a - b for a, b in zip(new, x, strict=True)]


class Gated:
    """Layers of torch's vanilla, GRU or LSTM cells; the state is h of every layer, then c of every layer."""

    def __init__(self, cell, arrays, nonlinearity="tanh"):
        self.cell, self.f = getattr(self, cell), FUNCTIONS[nonlinearity]
        self.w = {key: numbers(value.tolist()) for key, value in arrays.items()}
        self.layers = sum(key.startswith("weight_hh") for key in arrays)
        self.hidden = len(arrays["weight_hh_l0"][0])
        self.paired, self.units = cell == "lstm", len(arrays["weight_hh_l0"]) // (4 if cell == "lstm" else 1)

    def velocity(self, x, u):
        a, h_new, c_new = u, [], []
        for k in range(self.layers):
            h, first = x[k * self.hidden : (k + 1) * self.hidden], self.layers * self.hidden + k * self.units
            from_a = plus(times(self.w[f"weight_ih_l{k}"], a), self.w[f"bias_ih_l{k}"])
            from_h = plus(times(self.w[f"weight_hh_l{k}"], h), self.w[f"bias_hh_l{k}"])
            new, c = self.cell(k, from_a, from_h, h, x[first : first + self.units] if self.paired else [])
            h_new, c_new, a = h_new + new, c_new + c, new
        return [new - old for new, old in zip(h_new + c_new, x, strict=True)]

    def vanilla(self, k, from_a, from_h, h, c):
        return [self.f(y) for y in plus(from_a, from_h)], []

    def gru(self, k, from_a, from_h, h, c):
        n = len(h)
        r, z = ([sigma(y) for y in plus(from_a[j : j + n], from_h[j : j + n])] for j in (0, n))
        new = [tanh(from_a[2 * n + i] + r[i] * from_h[2 * n + i]) for i in range(n)]
        return [(1 - z[i]) * new[i] + z[i] * h[i] for i in range(n)], []

    def lstm(self, k, from_a, from_h, h, c):
        n, pre = len(c), plus(from_a, from_h)
        i, f, g, o = ([(tanh if j == 2 else sigma)(y) for y in pre[j * n : (j + 1) * n]] for j in range(4))
        new = [f[j] * c[j] + i[j] * g[j] for j in range(n)]
        m = [o[j] * tanh(new[j]) for j in range(n)]
        return (times(self.w[f"weight_hr_l{k}"], m) if f"weight_hr_l{k}" in self.w else m), new


def distance_to_root(network, x, u, inverse):
    """How far the zero near x is, by chord steps in 50 digits with an approximate inverse of the Jacobian (lists)."""
    start, u = numbers(x), numbers(u)
    at, A = start, numbers(inverse)
    for _ in range(200):
        step = times(A, network.velocity(at, u))
        at = [a - s for a, s in zip(at, step, strict=True)]
        if mpmath.norm(step) < mpf(10) ** -30:
            return mpmath.norm([a - b for a, b in zip(at, start, strict=True)])
    raise AssertionError("the chord steps did not converge: there may be no zero here")
