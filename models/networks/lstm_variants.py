"""The LSTM variants to be trained, with the interface of ``torch.nn.LSTM``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

COUPLED = "coupled_gates"  # in a state dict: three gates alone would look like a GRU


class LSTMVariant(nn.Module):
    """An LSTM whose gates see the cell state (``peephole``), or that forgets just as much as it writes (``coupled``).

    Arguments, parameters and answer are those of ``nn.LSTM``, but for ``batch_first``, which is set: inputs
    (B, T, input_size) to h of every step (B, T, units) and the last (h, c), each (layers * directions, B, units). The
    first (h, c) is ``first``, or zero. The rows of the weights are those of i, f, g, o; of f, g, o where i = 1 - f.
    peephole_l{k} holds a row for p_i, one for p_f and one for p_o; coupled, p_f and p_o. A coupled one says so by a
    buffer in its state dict: three gates alone would look like a GRU.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = True,
        bidirectional: bool = False,
        peephole: bool = True,
        coupled: bool = False,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, size in {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}.items():
            if size < 1:
                raise ValueError(f"{name} is {size}; it has to be 1 or more")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.peephole, self.coupled = peephole, coupled
        if coupled:
            self.register_buffer(COUPLED, torch.ones((), dtype=torch.bool))
        rows = (3 if coupled else 4) * hidden_size
        for k in range(num_layers):
            below = input_size if k == 0 else hidden_size * (1 + bidirectional)
            for suffix in self._suffixes(k):
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, below), "weight_hh": (rows, hidden_size)}
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
                shapes |= {"peephole": (3 - coupled, hidden_size)} if peephole else {}
                for role, shape in shapes.items():
                    self.register_parameter(f"{role}{suffix}", nn.Parameter(torch.empty(shape, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform between -1 and 1 over the root of the units, as torch begins its own; peepholes begin at 0."""
        bound = self.hidden_size**-0.5
        with torch.no_grad():
            for name, weight in self.named_parameters():
                weight.zero_() if "peephole" in name else weight.uniform_(-bound, bound)

    def forward(
        self, inputs: Tensor, first: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        a = inputs.transpose(0, 1) if self.batch_first else inputs  # (T, B, inputs)
        zeros = a.new_zeros(self.num_layers * (1 + self.bidirectional), a.shape[1], self.hidden_size)
        h0, c0 = (zeros, zeros) if first is None else first
        if h0.shape != zeros.shape or c0.shape != zeros.shape:
            given = f"{tuple(h0.shape)} and {tuple(c0.shape)}"
            raise ValueError(f"the first h and c have shapes {given}; both need {tuple(zeros.shape)}")
        last: list[tuple[Tensor, Tensor]] = []
        for k in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(k):
                backward, place = suffix.endswith("_reverse"), len(last)
                seen = a.flip(0) if backward else a
                h, c = self._run(seen, h0[place], c0[place], suffix)
                last.append((h[-1], c))
                outputs.append(h.flip(0) if backward else h)
            a = torch.cat(outputs, dim=2)
        ends = torch.stack([h for h, _ in last]), torch.stack([c for _, c in last])
        return (a.transpose(0, 1) if self.batch_first else a), ends

    def _suffixes(self, k: int) -> list[str]:
        return [f"_l{k}", f"_l{k}_reverse"] if self.bidirectional else [f"_l{k}"]

    def _run(self, a: Tensor, h: Tensor, c: Tensor, suffix: str) -> tuple[Tensor, Tensor]:
        """One layer in one direction: h of every step (T, B, units), and the last c (B, units)."""
        weight_hh, biases = getattr(self, f"weight_hh{suffix}").T, 0
        if self.bias:
            biases = getattr(self, f"bias_ih{suffix}") + getattr(self, f"bias_hh{suffix}")
        driven = a @ getattr(self, f"weight_ih{suffix}").T + biases
        peephole = getattr(self, f"peephole{suffix}") if self.peephole else None
        steps = []
        for drive in driven.unbind(0):
            h, c = self._step(torch.addmm(drive, h, weight_hh), c, peephole)
            steps.append(h)
        return torch.stack(steps), c

    def _step(self, z: Tensor, c: Tensor, peephole: Tensor | None) -> tuple[Tensor, Tensor]:
        """h' and c' from the preactivations without peepholes, (B, gates * units)."""
        *inward, g, o = z.chunk(3 if self.coupled else 4, dim=1)
        if peephole is not None:
            inward = [gate + p * c for gate, p in zip(inward, peephole, strict=False)]
        f, g = torch.sigmoid(inward[-1]), torch.tanh(g)
        c = g + f * (c - g) if self.coupled else f * c + torch.sigmoid(inward[0]) * g
        return torch.sigmoid(o if peephole is None else o + peephole[-1] * c) * torch.tanh(c), c
