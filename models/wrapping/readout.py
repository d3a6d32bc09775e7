"""What a network says in a state: weights on h of its top layer or on more, or a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dynsys.models.wrapping.module_copy import first_line, moved_callable
from dynsys.systems.undisturbed import undisturbed


@dataclass(frozen=True)
class LinearReadout:
    """W x + b of the columns ``seen`` of the state; W (n_output, width), b (n_output,) or None."""

    W: Tensor
    b: Tensor | None
    seen: slice

    @property
    def n_output(self) -> int:
        return len(self.W)

    def __call__(self, x: Tensor) -> Tensor:
        x = x[:, self.seen]
        return x @ self.W.T if self.b is None else torch.addmm(self.b, x, self.W.T)

    def to(self, device: torch.device | str | None, dtype: torch.dtype | None) -> LinearReadout:
        b = None if self.b is None else self.b.to(device=device, dtype=dtype)
        return replace(self, W=self.W.to(device=device, dtype=dtype), b=b)


@dataclass(frozen=True)
class ReluReadout:
    """V relu(W x + b) + c: a layer of ReLUs behind a linear readout; V (n_output, hidden), c (n_output,) or None."""

    first: LinearReadout
    V: Tensor
    c: Tensor | None

    @property
    def n_output(self) -> int:
        return len(self.V)

    def __call__(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        return hidden @ self.V.T if self.c is None else torch.addmm(self.c, hidden, self.V.T)

    def to(self, device: torch.device | str | None, dtype: torch.dtype | None) -> ReluReadout:
        c = None if self.c is None else self.c.to(device=device, dtype=dtype)
        return replace(self, first=self.first.to(device, dtype), V=self.V.to(device=device, dtype=dtype), c=c)


@dataclass(frozen=True)
class CalledReadout:
    """A function of the columns ``seen`` of the state, always called in float64."""

    function: Callable[[Tensor], Tensor]
    seen: slice
    n_output: int

    def __call__(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return self.function(x[:, self.seen].double()).to(x.dtype)

    def to(self, device: torch.device | str | None, dtype: torch.dtype | None) -> CalledReadout:
        return replace(self, function=moved_callable(self.function, device, None))


Readout = LinearReadout | ReluReadout | CalledReadout


def linear_readout(W: Tensor, b: Tensor | None, n_state: int, parts: Mapping[str, slice]) -> LinearReadout:
    """By the width of W the readout of h of the top layer, of h of every layer, or of the whole state."""
    legal = {n_state: slice(0, n_state)}
    of_h = [part for name, part in parts.items() if name.startswith("h")]
    if of_h:
        legal |= {of_h[-1].stop: slice(0, of_h[-1].stop), of_h[-1].stop - of_h[-1].start: of_h[-1]}
    if W.ndim != 2 or W.shape[1] not in legal:
        raise ValueError(
            f"readout.weight has shape {tuple(W.shape)}; it needs (n_output, width) with a width of "
            f"{' or '.join(str(width) for width in sorted(legal))}"
        )
    if b is not None and b.shape != (len(W),):
        raise ValueError(f"readout.bias has shape {tuple(b.shape)}; {len(W)} outputs need ({len(W)},)")
    return LinearReadout(W, b, legal[W.shape[1]])


def relu_readout(first: LinearReadout, V: Tensor, c: Tensor | None) -> ReluReadout:
    """A layer of ReLUs between a linear readout and the output; raises ValueError where the widths disagree."""
    if V.ndim != 2 or V.shape[1] != first.n_output or (c is not None and c.shape != (len(V),)):
        given = f"{tuple(V.shape)}" if c is None else f"{tuple(V.shape)} and {tuple(c.shape)}"
        raise ValueError(
            f"output.weight and output.bias have shapes {given}; behind {first.n_output} units they need "
            f"(n_output, {first.n_output}) and (n_output,)"
        )
    return ReluReadout(first, V, c)


def called_readout(function: Callable[[Tensor], Tensor], n_state: int, parts: Mapping[str, slice]) -> CalledReadout:
    """A function tried on h of the top layer first, then on the whole state. Raises ValueError where neither does."""
    x = torch.randn(3, n_state, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    top = [part for name, part in parts.items() if name.startswith("h")][-1:]
    reasons = []
    for seen in dict.fromkeys((part.start, part.stop) for part in (*top, slice(0, n_state))):
        width = seen[1] - seen[0]
        try:
            with undisturbed():
                given, again = function(x[:, slice(*seen)]), function(x[:, slice(*seen)])
                rows = [function(row[:, slice(*seen)]) for row in torch.split(x, 1)]
        except Exception as error:
            reasons.append(f"for {width} columns it raises {first_line(error)}")
            continue
        if isinstance(given, Tensor) and given.ndim == 2 and len(given) == len(x) and given.dtype == x.dtype:
            if torch.allclose(given, again, equal_nan=True) and torch.allclose(given, torch.cat(rows), equal_nan=True):
                return CalledReadout(function, slice(*seen), given.shape[1])
            reasons.append(f"for {width} columns it is another each time, or mixes the rows of a batch")
            continue
        what = f"{tuple(given.shape)} {given.dtype}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        reasons.append(f"for states of shape {(len(x), width)} it gives {what}")
    raise ValueError(f"readout cannot be used: {'; '.join(reasons)}; it must give (B, n_output) in float64")
