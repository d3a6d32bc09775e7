"""The equation of each model in words of one line, as ``info`` and the pages print it."""

from __future__ import annotations

from typing import Any

from dynsys.models.recurrent.gru import GRU
from dynsys.models.registry import MODELS


def equation(model: str, settings: dict[str, Any]) -> str:
    """The equation of a model, with its own activation in the place of f, and of a gated one in that of its own."""
    if model not in MODELS:
        return ""
    kind = MODELS[model].kind
    text = GRU.reset_before if kind is GRU and settings.get("reset") == "before" else kind.equation
    given = settings.get("activation") or settings.get("nonlinearity")
    text = text.replace("tanh(", f"{given or 'tanh'}(").replace("logistic", str(settings.get("gate", "logistic")))
    a, f = settings.get("alpha"), given or kind.usual_activation
    text = text.replace("(1 - a)", f"{1 - a:g}").replace("+ a ", f"+ {a:g} ") if isinstance(a, float) else text
    return text.replace("r = f", f"r = {f}").replace("= f(", f"= {f}(").replace(" f(", f" {f}(")
