"""Copies of a user's module, or of a method of one, so that the user's own is never touched; and what a module is in.

Compiled or spread over devices, the module inside is meant."""

from __future__ import annotations

import copy
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
BACKWARD_HOOKS = ("_backward_hooks", "_backward_pre_hooks")  # they change or store derivatives, which are ours here
ENDED = (Exception, SystemExit)  # what a call of someone's module may end in, short of Ctrl-C
OPAQUE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, str, bytes, int, float, bool)
COMPLEX = {torch.float64: torch.complex128, torch.float32: torch.complex64}


def moved_callable(
    function: Callable[..., Any], device: torch.device | str | None, dtype: torch.dtype | None
) -> Callable[..., Any]:
    """A copy of a module, or of a module's method, on ``device`` in ``dtype``; any other function as it is."""
    if isinstance(function, nn.Module):
        return _moved(_deep_copy(function), function, device, dtype)
    owner = module_of(function)
    if isinstance(function, types.MethodType) and owner is not None:
        return types.MethodType(function.__func__, _moved(_deep_copy(owner), owner, device, dtype))
    return function


def copied_callable(function: Callable[..., Any], dtype: torch.dtype | None = torch.float64) -> Callable[..., Any]:
    """A copy in ``dtype`` on the CPU in evaluation mode, without gradients, of a module or a module's method.

    Raises ValueError where the module cannot be copied.
    """
    try:
        held = moved_callable(function, "cpu", dtype)
    except Exception as error:
        raise ValueError(
            f"{describe(function)} cannot be copied ({first_line(error)}); give a function step(x, u) that computes in "
            "float64"
        ) from error
    owner = module_of(held)
    if owner is not None:
        owner.eval()
        for name, value in [*owner.named_parameters(), *owner.named_buffers()]:
            value.detach_()
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} of {describe(function)} holds values that are NaN or infinite")
            value.grad = None
    return held


def module_of(function: Callable[..., Any]) -> nn.Module | None:
    """The module that it is or whose method it is; None of any other function."""
    owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def holds_module(function: Callable[..., Any]) -> bool:
    return module_of(function) is not None


def describe(function: Callable[..., Any]) -> str:
    """What a user calls it."""
    return str(getattr(function, "__name__", type(function).__name__))


def first_line(error: BaseException) -> str:
    """What an error of torch's says, without its pages of advice."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else 'no message'}"


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every tensor that a deep copy of ``value`` would copy: in modules, containers and plain objects, but not in
    functions, which are shared."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, OPAQUE) or id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, Mapping):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, types.MethodType):
            waiting.append(item.__self__)
        else:
            waiting += getattr(item, "__dict__", {}).values()


def _deep_copy(module: nn.Module) -> nn.Module:
    memo: dict[int, Any] = {}
    held: nn.Module = _copied(module, memo)
    for part in held.modules():
        for kind in FORWARD_HOOKS:
            hooks = getattr(part, kind)
            for key, hook in hooks.items():
                hooks[key] = _own(hook, memo)
        for kind in BACKWARD_HOOKS:
            getattr(part, kind).clear()
    return held


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy, of tensors that have a history as well: as numbers; what a transform has left behind has none."""
    for tensor in tensors_in(value):
        if id(tensor) not in memo and torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            memo[id(tensor)] = torch.zeros(0)
        elif id(tensor) not in memo and not tensor.is_leaf:
            memo[id(tensor)] = tensor.detach().clone()
    return copy.deepcopy(value, memo)


def _own(function: Any, memo: dict[int, Any]) -> Any:
    """A hook with copies of what it stores things in: its cells, defaults, and the globals that it names."""
    if isinstance(function, functools.partial):
        return functools.partial(_own(function.func, memo), *function.args, **function.keywords)
    if not isinstance(function, types.FunctionType):
        return function
    if id(function) in memo:
        return memo[id(function)]
    home = function.__globals__
    around = dict(home)
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    own = types.FunctionType(function.__code__, around, function.__name__, None, cells)
    memo[id(function)] = own
    own.__defaults__ = _own_value(function.__defaults__, memo)
    own.__kwdefaults__ = _own_value(function.__kwdefaults__, memo)
    for name in _names(function.__code__) & around.keys():
        of_a_library = isinstance(value := around[name], types.FunctionType) and value.__globals__ is not home
        around[name] = value if of_a_library else _own_value(value, memo)
    for mine, theirs in zip(cells, function.__closure__ or (), strict=True):
        try:
            mine.cell_contents = _own_value(theirs.cell_contents, memo)
        except ValueError:  # a name that has no value yet
            continue
    return own


def _own_value(value: Any, memo: dict[int, Any]) -> Any:
    """A copy of something that a hook refers to; itself, where it cannot be copied."""
    if isinstance(value, types.FunctionType):
        return _own(value, memo)
    if isinstance(value, OPAQUE):
        return value
    try:
        return _copied(value, memo)
    except Exception:
        return value


def _names(code: types.CodeType) -> set[str]:
    """The global names that a function and the functions inside it may use."""
    inner = [part for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*(_names(part) for part in inner))


def _moved(
    held: nn.Module, original: nn.Module, device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Module:
    """``held``, a copy of ``original``, on ``device`` in ``dtype``: also the tensors that are no parameters.

    Complex numbers stay complex, where ``Module.to`` would drop their imaginary parts.
    """

    def moved(tensor: Tensor) -> Tensor:
        wanted = None
        if dtype is not None and tensor.is_floating_point():
            wanted = dtype
        elif dtype is not None and tensor.is_complex():
            wanted = COMPLEX.get(dtype)
        return tensor.to(device=device, dtype=wanted)

    modes = [(part, part.training) for part in held.modules()]
    held.eval()  # spectral_norm changes u and v where a weight is looked at in training mode, as an RNN does here
    held._apply(moved)  # type: ignore[no-untyped-call]
    for part, mode in modes:
        part.training = mode
    theirs = {id(tensor) for tensor in tensors_in(original)}
    for tensor in tensors_in(held):
        if id(tensor) not in theirs:  # what a copy shares with the original is left alone
            tensor.data = moved(tensor.data)
    return held


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


@contextmanager
def guarded(function: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, such a call raises an error."""
    module = module_of(function)
    cells = [] if module is None else [part for part in module.modules() if isinstance(part, nn.LSTMCell)]
    handles = [cell.register_forward_pre_hook(_check, with_kwargs=True) for cell in cells]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    given, state = [*args, *kwargs.values(), None, None][:2]
    parts = state if isinstance(state, tuple | list) else ()
    if isinstance(given, Tensor) and any(isinstance(part, Tensor) and part.ndim != given.ndim for part in parts):
        raise ValueError("an LSTMCell is given a batch of states and one row of input")
