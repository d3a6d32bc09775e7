"""How fast a frame of k directions grows along a trajectory: steps of the tangent dynamics, put upright again by QR.

The logarithms of R's diagonal, added up, are k times the time times the exponents (Benettin et al. 1980; Shimada &
Nagashima 1979). How many steps go between two QR is ruled by the condition of R: what has shrunk by more than rounding
leaves is done again with fewer. Directions that a step sends to nothing, as dead ReLUs and forgotten cells do, have the
exponent minus infinity; they leave the frame and are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.linalg import vector_norm

from dynsys.exponents.tangent import Stepper
from dynsys.systems.system import Kind

Inputs = Callable[[int], Tensor]

ROUNDING = 4e-16  # of a unit vector, in a map's G - x + x
UNCERTAIN = 10 * ROUNDING  # of the longest column of R, in what is left of any other


@dataclass(frozen=True)
class Upright:
    """When frames are put upright: ``usual`` is the condition of R that is aimed at, beyond ``worst`` the steps are
    done again; ``longest`` steps go without QR at most. A direction is lost of which one step leaves no more than
    rounding, ``nothing`` times the root of n.
    """

    usual: float = 1e5
    worst: float = 1e8
    nothing: float = 1e-15
    longest: int = 64


@dataclass
class Frames:
    """States x (B, n) and upright frames Q (B, n, k), of which the first columns, ``alive`` (B, k), still grow.

    ``kept`` is called with Q and R after every QR where it is given. ``rounding`` (B,) is how far rounding alone may
    take the sum of the logarithms from that of volume, over all steps of which volume was asked.
    """

    stepper: Stepper
    x: Tensor
    Q: Tensor
    inputs: Inputs
    t: int = 0
    rules: Upright = field(default_factory=Upright)
    between: int = 1  # steps from one QR to the next
    kept: Callable[[Tensor, Tensor], None] | None = None

    def __post_init__(self) -> None:
        self.rounding = self.x.new_zeros(len(self.x))
        self.alive = torch.ones(len(self.x), self.Q.shape[2], dtype=torch.bool, device=self.x.device)

    def grow(self, steps: int, volume: bool = False) -> tuple[Tensor, Tensor]:
        """The logarithms of growth (B, k), minus infinity for what is lost, and of volume (B,) over so many steps."""
        logs = self.x.new_zeros(len(self.x), self.Q.shape[2])
        total = self.x.new_zeros(len(self.x))
        end = self.t + steps
        while self.t < end:
            grown, more = self._once(min(self.between, end - self.t), volume)
            logs, total = logs + grown, total + more
        return logs, total

    def _once(self, steps: int, volume: bool) -> tuple[Tensor, Tensor]:
        while True:
            x, V, total = self.x, self.Q, self.x.new_zeros(len(self.x))
            for t in range(self.t, self.t + steps):
                moved = self.stepper.step(x, V, self.inputs(t), volume)
                assert moved.V is not None
                x, V, total = moved.x, moved.V, total + moved.log_volume
            Q, R = torch.linalg.qr(V)
            left = torch.diagonal(R, dim1=1, dim2=2).abs()
            condition = self._condition(left)
            if condition <= self.rules.worst or steps == 1:
                break
            steps = self.between = max(1, steps // 2)
        if condition > self.rules.usual:
            self.between = max(1, steps // 2)
        elif condition * condition <= self.rules.usual and steps == self.between:
            self.between = min(2 * steps, self.rules.longest)
        if self.kept is not None:
            self.kept(Q, R)
        if steps == 1 and self.stepper.system.kind is Kind.MAP:
            Q, left = self._without_lost(V, Q, left)
        if volume:
            shrunk = left.amax(dim=1, keepdim=True) / left
            self.rounding = self.rounding + steps * UNCERTAIN * shrunk.where(self.alive, left.new_zeros(())).sum(dim=1)
        self.x, self.Q, self.t = x, Q, self.t + steps
        return left.log().where(self.alive, left.new_full((), -torch.inf)), total

    def _condition(self, left: Tensor) -> float:
        """The greatest over the trajectories; 1 where nothing is left."""
        most = left.where(self.alive, left.new_zeros(())).amax(dim=1)
        least = left.where(self.alive, left.new_full((), torch.inf)).amin(dim=1)
        ratio = (most / least).nan_to_num(torch.inf).where(self.alive.any(dim=1), most.new_ones(()))
        return float(ratio.max())

    def _without_lost(self, V: Tensor, Q: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
        """Frames and what is left of each column, those that one step brought to nothing put at the end as zeros."""
        share = self.rules.nothing * V.shape[1] ** 0.5
        nothing = torch.clamp_min(share * vector_norm(V, dim=1), ROUNDING)
        lost = (left <= nothing) & self.alive
        if bool(lost.any()):
            self.alive = self.alive & ~lost
            order = torch.argsort((~self.alive).to(torch.int8), dim=1, stable=True)
            Q = Q.gather(2, order.unsqueeze(1).expand_as(Q))
            left, self.alive = left.gather(1, order), self.alive.gather(1, order)
        return (Q if bool(self.alive.all()) else Q * self.alive.unsqueeze(1)), left
