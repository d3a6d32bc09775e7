"""FORCE learning of the readout by recursive least squares (Sussillo & Abbott 2009; Jang, eq. 27 and 28).

A step costs one product with [W_r W_fb B], an update one product with P and one rank-1 change of it. All of these are
limited by memory traffic, not arithmetic: so only the lower triangle of the symmetric P is read or written, and its
changes wait until one pass over P can apply many. BLAS overwrites x, W_out, P in place: Fortran order, no copies.
The two matrices lie in large pages, and the columns of the weights begin at lines of the cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import ddot, dgemv, dger, dnrm2, dsymv, dsyrk
from threadpoolctl import threadpool_limits

from dynsys.io.checked import check_arrays
from dynsys.models.rate.echo_state import EchoStateNetwork
from dynsys.numerics.deadline import ENDLESS, Deadline

Array = NDArray[np.float64]
OnSnapshot = Callable[[int, Array], None]
OnProgress = Callable[[int, int], None]

LINE, PAGE = 8, 2**18  # numbers in a line of the cache, and in a large page of memory
REPORT_EVERY = 1000  # steps between two checks that the weights are finite, and two calls of on_progress


@dataclass(frozen=True)
class Force:
    """Settings of FORCE: an update of W_out every ``interval`` steps, P(0) = I / ``alpha``, where x starts.

    ``noise`` is the standard deviation of what is added in training to the output that is fed back. The readout
    meets the states that errors of its own lead to and learns to lead back from them; without it, networks that score
    well on the task hold false memories between the true ones.
    """

    interval: int = 2
    alpha: float = 100.0
    noise: float = 1.0
    initial_state: float = 0.5  # standard deviation of x(0)
    snapshot_every: int = 0  # steps, and the last; 0 keeps none
    snapshot_steps: tuple[int, ...] = ()  # kept at these besides
    seed: int = 0

    def __post_init__(self) -> None:
        if self.interval < 1 or not self.alpha > 0 or not self.noise >= 0 or self.snapshot_every < 0:
            raise ValueError(
                f"FORCE with interval={self.interval}, alpha={self.alpha}, noise={self.noise}, "
                f"snapshot_every={self.snapshot_every}; it needs interval >= 1, alpha > 0 and no negative value"
            )


@dataclass(frozen=True)
class TrainingRecord:
    """What training left behind: the curves of Jang's figure 5 and the snapshots asked for."""

    W_out: Array  # (O, N)
    output: Array  # (T, O) the output as it was while the weights changed
    weight_norm: Array  # (T, O) |W_out| of each output
    state: Array  # (N,) the last x
    snapshots: list[tuple[int, Array]] = field(default_factory=list)
    unfinished: dict[str, Array] = field(default_factory=dict)  # what the next step depends on, where time was over


def train_force(
    network: EchoStateNetwork,
    inputs: Array,
    target: Array,
    settings: Force = Force(),
    on_snapshot: OnSnapshot | None = None,
    on_progress: OnProgress | None = None,
    deadline: Deadline = ENDLESS,
    begun: Mapping[str, Array] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> TrainingRecord:
    """Run the network over ``inputs`` (T, I) with its own output fed back, and learn W_out from ``target`` (T, O).

    Nothing is learned where a ``mask`` (T,) is false. Raises FloatingPointError when the weights leave the finite
    numbers. Snapshots are handed to ``on_snapshot`` as they come, so that a run that is interrupted loses none. When
    the time of ``deadline`` is over after some step, the record is of the steps done, and a run that is given what it
    left ``unfinished`` as ``begun`` does the others.
    """
    rng = np.random.default_rng(settings.seed)
    x = rng.standard_normal(network.n_state) * settings.initial_state
    simulation = Simulation(network, x)
    learner = RecursiveLeastSquares(network.W_out.numpy(), settings.alpha)
    steps = len(inputs)
    kept = _snapshot_steps(settings, steps)
    output, weight_norm = np.empty((2, steps, network.n_output))
    noise = settings.noise * rng.standard_normal(output.shape)
    snapshots: list[tuple[int, Array]] = []
    first = _go_on(begun, simulation, learner, output, weight_norm) if begun else 0
    norm, late = weight_norm[first - 1].tolist() if first else learner.weight_norms(), False

    def keep(step: int) -> None:
        snapshots.append((step, learner.W_out.copy()))
        if on_snapshot is not None:
            on_snapshot(*snapshots[-1])

    # With two threads on a busy machine small products run fifty times slower. Overflow is looked for below.
    with threadpool_limits(1), np.errstate(over="ignore", invalid="ignore"):
        for t in range(first, steps):
            if t in kept:
                keep(t)
            z = simulation.advance(inputs[t], learner.W_out, output[t])
            if t % settings.interval == 0 and (mask is None or mask[t]):
                learner.update(simulation.r, z - target[t])
                norm = learner.weight_norms()
            weight_norm[t] = norm
            np.add(z, noise[t], out=simulation.feedback)
            late = t + 1 < steps and deadline.is_over
            if (t + 1) % REPORT_EVERY == 0 or t + 1 == steps or late:
                if not np.isfinite(norm).all():
                    raise FloatingPointError(f"W_out is no longer finite at step {t}: lower the gain or raise alpha")
                if on_progress is not None:
                    on_progress(t + 1, steps)
            if late:
                break
    left: dict[str, Array] = {}
    if late:
        output, weight_norm = output[: t + 1], weight_norm[: t + 1]
        left = {"output": output, "weight_norm": weight_norm, **simulation.arrays(), **learner.arrays()}
    elif steps in kept:
        keep(steps)
    return TrainingRecord(learner.W_out.copy(), output, weight_norm, simulation.x, snapshots, left)


def _go_on(
    begun: Mapping[str, Array],
    simulation: Simulation,
    learner: RecursiveLeastSquares,
    output: Array,
    weight_norm: Array,
) -> int:
    """Put everything where an earlier run left it, and tell how many steps that had done; raises ValueError."""
    shapes = {"output": "f T O", "weight_norm": "f T O", "x": "f N", "signal": "f S"}
    shapes |= {"W": "f N O", "S": "f N N", "V": f"f N {RecursiveLeastSquares.WAITING}", "waiting": "i 1"}
    sizes = check_arrays(begun, shapes)
    own = {"O": output.shape[1], "N": len(simulation.x), "S": len(simulation.arrays()["signal"])}
    waits = 0 <= begun["waiting"][0] < RecursiveLeastSquares.WAITING
    if any(sizes[axis] != size for axis, size in own.items()) or not (waits and 0 < sizes["T"] < len(output)):
        raise ValueError(f"it is the state of another network, or of another number of steps than {len(output)}")
    simulation.restore(begun)
    learner.restore(begun)
    output[: sizes["T"]], weight_norm[: sizes["T"]] = begun["output"], begun["weight_norm"]
    return sizes["T"]


def _snapshot_steps(settings: Force, steps: int) -> set[int]:
    every = settings.snapshot_every
    return set(settings.snapshot_steps) | ({*range(0, steps, every), steps} if every else set())


def simulate(network: EchoStateNetwork, inputs: Array, x: Array) -> Array:
    """The output (T, O) of a trained network over ``inputs`` (T, I) from the state ``x`` (N,), its weights fixed."""
    simulation, W_out = Simulation(network, x), network.W_out.numpy()
    output = np.empty((len(inputs), network.n_output))
    with threadpool_limits(1):
        for u, z in zip(inputs, output, strict=True):
            simulation.feedback[:] = simulation.advance(u, W_out, z)
    return output


class Simulation:
    """The running network: its state x, its rates r, and the output that it is fed at the next step."""

    def __init__(self, network: EchoStateNetwork, x: Array) -> None:
        n, n_output = network.n_state, network.n_output
        blocks = np.hstack([w.numpy() for w in (network.W_r, network.W_fb, network.B)]).T
        # Transposed: OpenBLAS reads the columns of W^T faster than it adds up those of W.
        self._weights = _in_large_pages(-(-len(blocks) // LINE) * LINE, n)
        np.divide(blocks, network.time_constant, out=self._weights[: len(blocks)])
        self._leak = 1 - 1 / network.time_constant
        self._rate = _RATES[network.activation]
        self._padded = np.zeros(len(self._weights))
        self._signal = self._padded[: len(blocks)]  # (r, z, u) side by side, so one product does all three
        self.r, self.feedback, self._u = np.split(self._signal, [n, n + n_output])
        self.x = np.array(x, dtype=np.float64)
        self._rate(self.x, self.r)
        np.dot(network.W_out.numpy(), self.r, out=self.feedback)

    def arrays(self) -> dict[str, Array]:
        """All that changes as it runs."""
        return {"x": self.x, "signal": self._signal}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        self.x[:], self._signal[:] = arrays["x"], arrays["signal"]

    def advance(self, u: Array, W_out: Array, z: Array) -> Array:
        """One Euler step of eq. 22 (step 1, so 1 / tau of the velocity) from the z in ``feedback``; z after it."""
        self._u[:] = u
        dgemv(1.0, self._weights, self._padded, beta=self._leak, y=self.x, overwrite_y=1, trans=1)
        self._rate(self.x, self.r)
        new: Array = np.dot(W_out, self.r, out=z)
        return new


class RecursiveLeastSquares:
    """Ridge regression, brought up to date one sample at a time: W_out minimises sum |W r - y|^2 + alpha |W|^2.

    P = (sum r r^T + alpha I)^-1 is kept as S - V V^T: S symmetric, and V (N, ``WAITING``) the latest rank-1 changes,
    which go into S together. That costs a third of applying each as it comes, and is the same sum.
    """

    WAITING = 16

    def __init__(self, W_out: Array, alpha: float) -> None:
        n = W_out.shape[1]
        self._W = np.array(W_out.T, order="F")  # (N, O)
        self._rows = [self._W[:, k] for k in range(self._W.shape[1])]  # those of each output: views
        self._S = _in_large_pages(n, n)  # only its lower triangle is kept up to date
        np.fill_diagonal(self._S, 1 / alpha)
        self._V = np.zeros((n, self.WAITING), order="F")
        self._waiting = 0

    @property
    def W_out(self) -> Array:
        """The weights (O, N) as they are now: a view, not a copy."""
        return self._W.T

    @property
    def P(self) -> Array:
        """The inverse correlation (N, N) of eq. 28."""
        lower = np.tril(self._S - self._V @ self._V.T)
        return lower + np.tril(lower, -1).T

    def arrays(self) -> dict[str, Any]:
        """All that changes as it learns."""
        return {"W": self._W, "S": self._S, "V": self._V, "waiting": np.array([self._waiting])}

    def restore(self, arrays: Mapping[str, Any]) -> None:
        self._W[:], self._S[:], self._V[:] = arrays["W"], arrays["S"], arrays["V"]
        self._waiting = int(arrays["waiting"][0])

    def weight_norms(self) -> list[float]:
        """The Euclidean norm of the weights of each output."""
        return [dnrm2(row) for row in self._rows]

    def update(self, r: Array, e: Array) -> None:
        """Eq. 28 and then eq. 27 for the rates r and the error e = z - y before it.

        W(t + dt) on the right of eq. 27 is the value before: W -= e (P r)^T with the new P.
        """
        V = self._V
        k = dsymv(1.0, self._S, r, lower=1)
        k = dgemv(-1.0, V, dgemv(1.0, V, r, trans=1), beta=1.0, y=k, overwrite_y=1)
        c = 1.0 / (1.0 + float(ddot(r, k)))
        dger(-c, k, e, a=self._W, overwrite_a=1)
        np.multiply(k, math.sqrt(c), out=V[:, self._waiting])
        self._waiting += 1
        if self._waiting == self.WAITING:
            dsyrk(-1.0, V, beta=1.0, c=self._S, overwrite_c=1, lower=1)
            V[:] = 0.0
            self._waiting = 0


def _in_large_pages(rows: int, columns: int) -> Array:
    """Zeros (rows, columns) in Fortran order, from the beginning of a large page of memory.

    numpy asks for large pages where an array is large, but does not begin there.
    """
    memory = np.zeros(max(rows * columns + PAGE, 2 * PAGE))
    first = -(memory.ctypes.data // memory.itemsize) % PAGE
    return memory[first : first + rows * columns].reshape((rows, columns), order="F")


def _tanh(x: Array, out: Array) -> None:
    np.tanh(x, out=out)


def _logistic(x: Array, out: Array) -> None:
    """1 / (1 + exp(-x)) written with tanh, which cannot overflow."""
    np.multiply(x, 0.5, out=out)
    np.tanh(out, out=out)
    out += 1.0
    out *= 0.5


_RATES: dict[str, Callable[[Array, Array], None]] = {"tanh": _tanh, "logistic": _logistic}
