"""What is inside the objects of a pickle, told from their state: attributes, entries, and modules' parameters.

A whole torch module gives up its state dict: parameters, buffers and the modules within, by torch's own names. Its
other attributes are settings, such as ``rnn.nonlinearity``; its class is ``rnn.__class__``, and the hooks that would
change its weights or its steps are ``rnn.__hooks__``.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from dynsys.models.loading.pickles.arrays import NumpyArray
from dynsys.models.loading.pickles.sparse import sparse_matrix
from dynsys.models.loading.pickles.stand_ins import Made, Named, name_of
from dynsys.models.loading.values import Aside, Attributes, ModuleState, Read, Unfit, is_array

MOST_HOOKS = 20  # that are told, and words of one
MOST_KEPT = 1000  # buffers of one module that are no part of its state dict
REGISTERED = ("_parameters", "_buffers", "_modules")  # what makes an object a torch module
HOOKS = ("_forward_pre_hooks", "_forward_hooks")
BOOKKEEPING = {
    *REGISTERED,
    *HOOKS,
    "_non_persistent_buffers_set",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_is_full_backward_hook",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
    "_compiled_call_impl",
    "_backend",
    "_flat_weights",  # of recurrent modules, the parameters once more
    "_flat_weights_names",
    "_flat_weight_refs",
    "_all_weights",
    "all_weights",
    "_data_ptrs",
    "_param_buf_size",
}
OUTSIDE = "a plain attribute of its module, which a state dict does not hold"
NOT_KEPT = "a buffer that its module keeps out of the state dict"
COMPUTED_FROM = ("_g", "_v", "_orig", "_raw")  # hooks keep the weight that they compute beside these
CODE = ("cloudpickle.", "dill.")  # functions kept by their code
TRAINERS = ("torch.optim.",)
COMPILED = "torch._dynamo.eval_frame.OptimizedModule"
INNER = ("_content", "_val", "_dict")  # where OmegaConf's nodes and flax's frozen dicts keep what they stand for


def expand(value: Any) -> Any:
    """What stands for an object of a pickle: its entries by name, or a single value."""
    for _ in range(8):  # an array of one object, which may be a node of OmegaConf, which holds one value
        if isinstance(value, NumpyArray) and value.objects is not None and len(value.objects) == 1:
            value = value.objects[0]
        elif isinstance(value, Made) and (inner := _inner(value)) is not None:
            value = inner
        else:
            break
    if isinstance(value, Named):
        return value.path
    if isinstance(value, NumpyArray) and value.objects is not None:
        return value.objects
    if isinstance(value, Made):
        matrix = sparse_matrix(value)
        return _entries(value) if matrix is None else matrix
    return value


def _inner(made: Made) -> Any:
    """What a mere wrapper holds; None for other objects."""
    if not made.path.startswith(("omegaconf.", "flax.")):
        return None
    attributes = made.attributes()
    return next((attributes[name] for name in INNER if name in attributes), None)


def _entries(made: Made) -> Any:
    if made.path.startswith(CODE + TRAINERS):
        return Attributes({"__class__": made.path})
    if made.path == COMPILED and isinstance(made.arguments, tuple) and made.arguments:
        return ModuleState({"__class__": made.path, "_orig_mod": made.arguments[0]})
    attributes = made.attributes()
    if all(isinstance(attributes.get(name), dict) for name in REGISTERED):
        return _module(made, attributes)
    held = Attributes({"__class__": made.path}) | (made.entries or {}) | dict(enumerate(made.items or []))
    held |= {key: value for key, value in attributes.items() if key not in held}
    if len(held) > 1:
        return Attributes(held)
    rest = made.arguments if made.state is None else (made.state,)
    rest = rest if isinstance(rest, tuple) else (rest,)
    is_class = made.path.rpartition(".")[2][:1].isupper()
    if is_class and len(rest) == 1 and isinstance(rest[0], str | int | float):  # a member of an Enum, a path
        return rest[0]
    return Attributes(held | dict(enumerate(rest)))


def _module(made: Made, attributes: Mapping[Any, Any]) -> ModuleState:
    parameters, buffers, modules = (attributes[name] for name in REGISTERED)
    kept_out = _texts(attributes.get("_non_persistent_buffers_set"))
    state = ModuleState({"__class__": made.path})
    hooks = "; ".join(_told(hook) for name in HOOKS for hook in _values(attributes.get(name)))
    if hooks:
        state["__hooks__"] = hooks
    state |= parameters
    state |= {name: Aside(value, NOT_KEPT) if name in kept_out else value for name, value in buffers.items()}
    state |= modules
    computed = {str(name).removesuffix(end) for name in parameters for end in COMPUTED_FROM}
    for name, value in attributes.items():
        if name not in BOOKKEEPING and name not in computed and name not in state:
            state[name] = Aside(value, OUTSIDE)
    return state


def _texts(values: Any) -> set[str]:
    """The names in a set, which a pickle's reader makes a list."""
    if not isinstance(values, list):
        return set()
    if len(values) > MOST_KEPT:
        raise Unfit(f"it has a module with {len(values):,} buffers out of its state dict", "save a state dict")
    return {value for value in values if isinstance(value, str)}


def _values(hooks: Any) -> list[Any]:
    return list(islice(hooks.values(), MOST_HOOKS)) if isinstance(hooks, dict) else []


def _told(hook: Any) -> str:
    """A hook by its name and what it was given: ``torch.nn.utils.weight_norm.WeightNorm(name=weight_hh_l0, dim=0)``."""
    given = islice(hook.attributes().items(), MOST_HOOKS) if isinstance(hook, Made) else ()
    words = ", ".join(f"{key}={str(value)[:100]}" for key, value in given if isinstance(value, str | int | float))
    return f"{hook.path}({words})" if isinstance(hook, Made) else name_of(hook)


def refuse_empty(read: Read) -> Read:
    """The same; raises Unfit where it has no arrays at all, with what it has instead."""
    if not any(is_array(value) for value in read.values.values()):
        classes = list(dict.fromkeys(str(value) for key, value in read.values.items() if key.endswith("__class__")))
        named = ", ".join((classes or list(read.values))[:10])
        remedy = "save torch.save(model.state_dict(), path), or a dict of arrays"
        raise Unfit(f"it holds no arrays, only {named}" if named else "it holds no arrays", remedy)
    return read
