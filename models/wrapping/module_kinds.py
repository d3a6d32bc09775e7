"""What a module is in: compiled or spread over devices, where the module inside is meant; or without usable weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from dynsys.models.wrapping.module_copy import describe, tensors_in

AROUND = ("OptimizedModule", "DataParallel", "DistributedDataParallel")  # of which the module inside is taken


def opened(module: Any) -> Any:
    """The module inside ``torch.compile`` or data parallelism, which compute what it computes; any other as it is.

    Raises ValueError for modules that hold no numbers that could be analysed.
    """
    while isinstance(module, nn.Module) and type(module).__name__ in AROUND:
        inside = getattr(module, "_orig_mod", None) or getattr(module, "module", None)
        if not isinstance(inside, nn.Module) or module._forward_hooks or module._forward_pre_hooks:
            break
        module = inside
    if isinstance(module, nn.Module):
        _check_weights(module)
    return module


def _check_weights(module: nn.Module) -> None:
    name = describe(module)
    for path, part in module.named_modules():
        if ".quantized" in type(part).__module__ and type(part).__module__.startswith("torch."):
            raise ValueError(
                f"{path or 'it'} of {name} is quantised: its weights are whole numbers of 8 bits, and it computes in "
                "single precision; give the module as it was before it was quantised"
            )
        for key, value in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            if is_lazy(value):
                raise ValueError(
                    f"{_joined(path, key)} of {name} has no shape yet, as that of a lazy module before its first "
                    "input; run the module once"
                )
    if any(value.is_meta for value in tensors_in(module)):
        raise ValueError(f"the weights of this {name} are on the device 'meta', without values; load them")
    if any(value.is_quantized or value.layout != torch.strided for value in tensors_in(module)):
        raise ValueError(f"{name} holds weights that are quantised or sparse; give it with dense ones")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
