"""LightGBM's text format: the header, and the trees as flat arrays."""

from dataclasses import dataclass

from components.common.errors import ModelError

_LINKS = {
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "binary": "logit",
    "cross_entropy": "logit",
    "poisson": "log",
    "gamma": "log",
    "tweedie": "log",
}


@dataclass(frozen=True)
class Header:
    """What stands before the trees.

    Attributes:
        names: features in order.
        link: "identity", "logit", "log", or "other" for a transformation that only LightGBM itself applies.
        sigmoid: the factor of the logistic link: 1 / (1 + exp(-sigmoid · score)).
        averaged: whether the trees' outputs are averaged (random forests) and not summed.
    """

    names: list[str]
    link: str
    sigmoid: float
    averaged: bool


def header(text: bytes) -> Header:
    """Return the header of a model in LightGBM's text format.

    Raises:
        ModelError: the text has no header.
    """
    end = text.find(b"\nTree=")
    lines = (text[:end] if end >= 0 else text).decode().splitlines()
    fields = dict(line.partition("=")[::2] for line in lines)
    if "feature_names" not in fields:
        raise ModelError("the model text has no line 'feature_names'; expected a model in LightGBM's text format")
    words = fields.get("objective", "").split()
    options = dict(word.partition(":")[::2] for word in words[1:])
    return Header(
        names=fields["feature_names"].split(),
        link=_link(words),
        sigmoid=float(options.get("sigmoid", 1.0)),
        averaged="average_output" in fields,
    )


def _link(objective: list[str]) -> str:
    if not objective:
        return "identity"
    if objective[0] == "regression" and "sqrt" in objective[1:]:
        return "other"
    return _LINKS.get(objective[0], "other")
