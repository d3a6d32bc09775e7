"""A user's own function of states and inputs, looked at before anything relies on it.

It gets states x (B, n_state) and inputs u (B, n_input) and has to give (B, n_state): each row for itself, the same each
time, in torch throughout. What people write instead, one state as for ``solve_ivp``, NumPy, noise, a mean over the
batch, a time beside x and u, would show late and deep inside torch, or not at all; here it gets one line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dynsys.systems.undisturbed import undisturbed

Function = Callable[..., Any]

LEAST_ROWS = 3  # that are tried, and as many more as it takes to be told from the other sizes
SAME = {torch.float64: 1e-9}  # relative: what a row may differ by when it is computed in another batch
SAME_SINGLE = 1e-4
BESIDE = 1 - 1e-3  # of each state, where its function is not zero if it is so at the state
STEPS = (1e-4, 2e-5)  # of central differences, relative to each variable
SMOOTH, HIDDEN = 0.02, 0.1  # relative: by which two differences may differ, and a derivative from them
ROWWISE = "Each row of x is a state: x[:, i] is variable i of all of them, and W x is x @ W.T"
STATE_NAMES = {"x", "h", "hx", "hidden", "state", "states", "y", "z", "r"}
INPUT_NAMES = {"u", "input", "inputs", "inp"}
TIME_NAMES = {"t", "time", "t0"}


def takes_states_alone(function: Function) -> bool:
    """Whether its signature has room for x, but for no u."""
    parameters = _parameters(function)
    return parameters is not None and len(parameters) == 1


def check_function(function: Function, call: Function, x: Tensor, u: Tensor, name: str, one: str) -> None:
    """Raise ValueError where ``function``, called as ``call(x, u)``, is not a function of states and inputs.

    ``x`` (B, n_state) and ``u`` (B, n_input) are where it is going to be used; ``one`` is what its value is called.
    """
    _check_arguments(function, u.shape[1], name)
    x, u = _rows(x, u)
    if len(x) == 0:
        return
    with undisturbed():
        F = _value(function, call, x, u, name, one)
        if not _same(F, call(x, u)):
            raise ValueError(
                f"the {one} of {name} is another each time it is computed at the same states; take its noise out, or "
                "draw it once and hold it still"
            )
        alone = [call(x[i : i + 1], u[i : i + 1]) for i in range(len(x))]
        beside = call(x * BESIDE, u)  # at a zero of F all of it is rounding
        if any(row.shape != F[:1].shape for row in alone) or not _same(F, torch.cat(alone), beside):
            raise ValueError(
                f"the {one} of {name} at a state depends on the other rows of the batch, as with x.mean() or a norm "
                "over all of x; each row of x is a state of its own: reduce along dim=1, as x.mean(1, keepdim=True)"
            )
        _check_derivative(call, x, u, name, one)
        _check_branches(call, x, u, name, one)


def _parameters(function: Function) -> list[inspect.Parameter] | None:
    """The arguments that may be given by their place; None where Python does not know, or takes any number."""
    called = function.forward if isinstance(function, torch.nn.Module) else function
    try:
        parameters = list(inspect.signature(called).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _check_arguments(function: Function, n_input: int, name: str) -> None:
    parameters = _parameters(function)
    if parameters is None:
        return
    names = [p.name for p in parameters]
    demanded = [p.name for p in parameters if p.default is p.empty]
    given = f"the function of {name} takes ({', '.join(names)}); it is called with (x, u)"
    if not names:
        raise ValueError(f"{given}, states (B, n_state) and inputs (B, n_input)")
    if len(demanded) > 2:
        held = ", ".join(f"{n}={'0.0' if n in TIME_NAMES else '...'}" for n in demanded[2:])
        time = " A system does not depend on time: hold it still, or make it an input." * bool(TIME_NAMES & {*demanded})
        raise ValueError(f"{given}.{time} Fix the others: lambda x, u: f(x, u, {held})")
    if names[0] in TIME_NAMES:
        raise ValueError(f"{given}, and no time. Hold it still: lambda x, u: f(0.0, x)")
    if n_input == 0:
        return
    if len(names) == 1:
        raise ValueError(f"{given}, but n_input is {n_input}; take u as well, or leave n_input out")
    turned = (names[0] in INPUT_NAMES and names[1] in STATE_NAMES) or (names[1] in STATE_NAMES - {"x", "y", "z", "r"})
    if turned and names[0] not in STATE_NAMES - {"x"}:
        raise ValueError(f"{given}, the state first. Turn them round: lambda x, u: f(u, x)")


def _rows(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A few distinct rows, as many as neither n_state nor n_input, made out of near ones where there are too few."""
    n = next(k for k in range(LEAST_ROWS, LEAST_ROWS + 3) if k not in (x.shape[1], u.shape[1]))
    x, u = x.detach(), u.detach().expand(len(x), -1)
    finite = torch.isfinite(x).all(dim=1).nonzero().squeeze(1)
    some = finite[:: max(1, len(finite) // n)][:n]  # from all over the batch
    x, u = x[some], u[some]
    if len(x) == 0:
        return x, u
    again = torch.arange(n, device=x.device) % len(x)
    copies = torch.arange(n, device=x.device).div(len(x), rounding_mode="floor").unsqueeze(1)
    return x[again] * (1 - 1e-3 * copies), u[again].clone()


def _value(function: Function, call: Function, x: Tensor, u: Tensor, name: str, one: str) -> Tensor:
    """What the function gives, which has to be a tensor of the states' shape."""
    (B, n), m = x.shape, u.shape[1]
    shapes = f"for states of shape {(B, n)} and inputs of shape {(B, m)}, n_state={n} and n_input={m}"
    single = takes_one_state(call, x, u)
    y, held = x.clone(), u.clone()
    try:
        F = call(y, held)
    except (Exception, SystemExit) as error:
        if single:
            raise ValueError(_one_state(name, one)) from error
        if "dtype" in str(error) or "scalar type" in str(error):
            raise ValueError(
                f"{name} computes in single precision; the search needs double: call .double() on it"
            ) from error
        if "device" in str(error):
            raise
        text = (str(error).strip().splitlines() or ["no message"])[0]
        raise ValueError(
            f"the function of {name} raises {type(error).__name__} ({text}) {shapes}. {ROWWISE}"
        ) from error
    if not (torch.equal(x, y) and torch.equal(u, held)):
        raise ValueError(
            f"the function of {name} writes to the states or inputs that it is given, as x += ... does; compute on a "
            "copy: x = x.clone()"
        )
    if not isinstance(F, Tensor):
        if isinstance(F, tuple | list):
            remedy = "put the variables together with torch.stack([...], dim=1)"
        else:
            remedy = "compute in torch, as torch.tanh for np.tanh and torch.as_tensor(W) for an array W"
        raise ValueError(f"the {one} of {name} is a {type(F).__name__}; it has to be a torch tensor: {remedy}")
    if F.shape != x.shape:
        if single:
            raise ValueError(_one_state(name, one))
        raise ValueError(
            f"the {one} of {name} has shape {tuple(F.shape)} {shapes}; it needs the shape of the states. {ROWWISE}"
        )
    if not F.is_floating_point():
        raise ValueError(f"the {one} of {name} is made of {F.dtype}; it has to be real numbers in torch.float64")
    return F


def takes_one_state(call: Function, x: Tensor, u: Tensor) -> bool:
    """Whether it gives one state for one state."""
    try:
        F = call(x[0], u[0])
    except (Exception, SystemExit):
        return False
    if isinstance(F, tuple | list):
        return len(F) == x.shape[1] and not any(isinstance(part, Tensor) and part.ndim for part in F)
    return isinstance(F, Tensor) and F.shape == x[0].shape


def _one_state(name: str, one: str) -> str:
    return (
        f"the function of {name} takes one state, x[0], x[1], ..., as for solve_ivp; here it gets many, the rows of x. "
        f"Give torch.vmap(f) in place of f, or write x[:, 0] for x[0] and torch.stack([...], dim=1) for the {one}"
    )


def _same(a: Any, b: Any, beside: Any = None) -> bool:
    """Whether two values are the same but for rounding, by the size that they have there or ``beside``."""
    if not isinstance(b, Tensor) or a.shape != b.shape:
        return False
    tolerance = SAME.get(a.dtype, SAME_SINGLE)
    known = a if beside is None else torch.cat([a, beside])
    size = known[torch.isfinite(known)].abs().max() if bool(torch.isfinite(known).any()) else a.new_zeros(())
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * float(size), equal_nan=True)


def _check_derivative(call: Function, x: Tensor, u: Tensor, name: str, one: str) -> None:
    """Compare the derivative backwards with the slope of the values, where the values have one that is plain."""
    draw = torch.Generator().manual_seed(0)
    v, w = (2.0 * torch.randint(0, 2, x.shape, generator=draw) - 1 for _ in range(2))
    v, w = v.to(x) * torch.where(x == 0, 1.0, x), w.to(x)
    rough, fine = (((call(x + h * v, u) - call(x - h * v, u)) * w).sum(1) / (2 * h) for h in STEPS)
    F = call(x, u)
    ahead = ((call(x + STEPS[1] * v, u) - F) * w).sum(1) / STEPS[1]  # another than behind where there is a kink
    noise = F.abs().sum(1) * torch.finfo(F.dtype).eps * 1e4 / STEPS[1]
    plain = torch.isfinite(fine) & (fine.abs() > noise)
    for other in (rough, ahead):
        plain &= (other - fine).abs() <= SMOOTH * fine.abs()
    if not bool(plain.any()):
        return
    try:
        with torch.enable_grad():
            y = x.clone().requires_grad_(True)
            F = call(y, u)
            slope = torch.zeros_like(x)
            if F.requires_grad:
                (slope,) = torch.autograd.grad(F, y, w.to(F.dtype), allow_unused=True, materialize_grads=True)
    except RuntimeError as error:
        text = str(error).strip().splitlines()[0]
        raise ValueError(
            f"torch cannot differentiate the {one} of {name} ({text}); compute in torch throughout, and not in NumPy"
        ) from error
    off = ((slope * v).sum(1) - fine).abs() > HIDDEN * fine.abs()
    if 2 * int((off & plain).sum()) > int(plain.sum()):
        raise ValueError(
            f"the derivative that torch finds for the {one} of {name} is not the slope of its values: something inside "
            "is detached, under no_grad or not computed in torch; let gradients through"
        )


def _check_branches(call: Function, x: Tensor, u: Tensor, name: str, one: str) -> None:
    """Python's ``if`` on the values of the states has no derivative for many states at once."""
    try:
        torch.func.vmap(lambda state, held: call(state.unsqueeze(0), held.unsqueeze(0)))(x, u)
    except RuntimeError as error:
        if "data-dependent control flow" in str(error):
            raise ValueError(
                f"the {one} of {name} is decided by the values of the states, as with if, .all() or .item(); "
                "each row of x goes its own way: torch.where(x > 0, a, b)"
            ) from error
