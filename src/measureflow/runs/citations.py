"""What to cite for a run: the papers behind its field, its solver and its checkpoint, and the software."""

from __future__ import annotations

from typing import Any

__all__ = ["papers_of"]

ALWAYS = ("bradbury2018jax", "kidger2021equinox")

#: where a value of a recipe names something that a paper introduced: (noun, key, value) -> paper
FIELDS = {
    "SelfAttention": ("vaswani2017attention", "2312.10794"),
    "Causal": ("2411.04990",),
    **dict.fromkeys(("PostLN", "PreLN", "PeriLN", "MixLN", "NGPT", "SqrtLN"), ("2510.22026",)),
    "Adaptive": ("dormand1980family",),
}
FAMILIES = {
    "bert": ("devlin2019bert",),
    "albert": ("lan2020albert",),
}


def papers_of(recipe: dict[str, Any], command: str = "") -> list[str]:
    """Return the papers, by arXiv id or key of the bibliography, that the recipe of a path rests on.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.runs import papers_of
        >>> path = mf.layers(mf.equiangular(n=2, cosine=0.0), mf.SelfAttention(beta=1.0), depth=1, step=0.1)
        >>> "2312.10794" in papers_of(path.recipe.data)
        True
    """
    found: list[str] = []
    for noun in nouns(recipe):
        found += FIELDS.get(str(noun.get("noun")), ())
        if noun.get("noun") == "Unnormalised" and noun.get("shifted"):
            found.append("2410.06833")
        if noun.get("pair") == "dopri8":
            found.append("prince1981high")
        found += FAMILIES.get(str(noun.get("family")), ())
        if "minilm" in str(noun.get("name", "")).lower():
            found += ["wang2020minilm", "reimers2019sentence"]
    if any("effective_rank" in str(name) for name in recipe.get("record", ())) or command == "trace":
        found.append("roy2007effective")
    return list(dict.fromkeys([*found, *ALWAYS]))


def nouns(value: Any) -> list[dict[str, Any]]:
    """Return every table inside a recipe."""
    if isinstance(value, dict):
        return [value, *(noun for part in value.values() for noun in nouns(part))]
    if isinstance(value, list):
        return [noun for part in value for noun in nouns(part)]
    return []
