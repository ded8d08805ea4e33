"""What the claims on normalisations share: schemes by name, states with a radius, and a run under a scheme."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.instances import follow, normalised

#: the depth at which Mix-LN of every instance goes over to Pre-LN: a jump is part of a program
SWITCH = 2.0
RADIAL = ("pre", "mix", "peri")


def scheme_of(name: str, alpha: float) -> Any:
    """Return the scheme of a name of `theory.SCHEMES`."""
    made = {"post": mf.PostLN, "pre": mf.PreLN, "peri": mf.PeriLN, "sqrt": mf.SqrtLN}
    return mf.MixLN(SWITCH) if name == "mix" else mf.NGPT(alpha) if name == "ngpt" else made[name]()


def schemes_of(case: Case) -> tuple[str, ...]:
    """Return the schemes that are compared: all, unless set."""
    names = case.given("schemes", theory.SCHEMES)
    case.require("the schemes are known", bool(names) and set(names) <= set(theory.SCHEMES))
    return names


def at_radius(name: str, tokens: mf.Tokens, radius: float = 1.0) -> mf.Tokens:
    """Return tokens of the sphere as states of a scheme: those with a radius live in Euclidean space."""
    if name not in RADIAL:
        return tokens
    return mf.Tokens(mf.Euclidean(tokens.d), radius * np.asarray(tokens.points))


def run(
    case: Case,
    name: str,
    alpha: float,
    tokens: mf.Tokens,
    beta: float,
    times: Any,
    *,
    query: Any = None,
    key: Any = None,
) -> tuple[Any, Any]:
    """Return directions and radii of a flow under a scheme, with Q = K = 1 unless given: one program for both."""
    query, key = (np.eye(tokens.d) if matrix is None else matrix for matrix in (query, key))
    field, scheme = mf.SelfAttention(beta, query=query, key=key), scheme_of(name, alpha)
    states = follow(case, at_radius(name, tokens), field, np.asarray(times, float), normalisation=scheme)
    return normalised(states), np.linalg.norm(states, axis=-1)


TITLES = {
    "post": "Post-LN",
    "pre": "Pre-LN",
    "mix": "Mix-LN",
    "peri": "Peri-LN",
    "ngpt": "nGPT",
    "sqrt": "sqrt-scaling",
}
