"""Tokens in blocks, at beta = gamma log n: between averaging over all and copying lies a phase of block means."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2510_05554.equiangular import output
from measureflow.paths.style import ACCENT, THEORY


def blocks(n: float, between: float, inside: float, size: float) -> mf.Tokens:
    """Return two tokens of one block and one of another among n, and the means of the rest of both and of all others.

    All tokens that a mean stands for have the same logit, for each of the three: attention sees no difference. The
    points are a root of their Gram matrix.
    """
    block = n**size
    kinds = np.array([0, 0, 0, 1, 1, 2])
    gram = np.where(kinds[:, None] == kinds, inside, between)
    rest, others = (1 - inside) / (block - 2), (inside - between) * block / (n - 2 * block) + (1 - inside) / n
    np.fill_diagonal(gram, [1.0, 1.0, inside + rest, 1.0, inside + rest, between + others])
    weights = np.array([1.0, 1.0, block - 2, 1.0, block - 1, n - 2 * block]) / n
    values, axes = np.linalg.eigh(gram)
    return mf.Tokens(mf.Euclidean(6), axes * np.sqrt(np.maximum(values, 0.0)), weights)


def cosines(case: Case, tokens: mf.Tokens, gamma: float, n: float) -> tuple[float, float]:
    """Return the cosines of outputs of two tokens of one block, and of two blocks."""
    outputs = np.asarray(case.measure(output, mf.SelfAttention(gamma * np.log(n)), tokens))
    directions = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    return float(directions[0] @ directions[1]), float(directions[0] @ directions[3])


@claim(
    "2510.05554",
    "almost simplex inputs, intermediate phase",
    covers=["5.4"],
    status="derived",
    id="2510.05554/blocks",
    states=theory.limits_of_cosines_of_blocks,
)
def tokens_in_blocks_average_over_all_then_over_their_block_then_copy(case: Case) -> None:
    """Blocks of n^alpha tokens, of cosine rho_2 inside and rho_1 between, have two critical gammas, (1-alpha)/(rho_2 -
    rho_1) and alpha/(1 - rho_2): outputs are means of all below, of the block in between, and copies above.

    An exact instance, derived here: published is that nearly equal overlaps have such a phase. If the first gamma is
    not the smaller one there is none, and 1/(1 - rho_1) is critical.
    """
    between, inside = case.draw("cosine between", 0.2, 0.4), case.draw("cosine inside", 0.65, 0.8)
    n = case.given("n", 1e200)
    case.require("tokens of a block are nearer than others", 0 < between < inside < 1)
    case.require("the context is long", 1e40 <= n <= 1e300)
    for name, size in (("large", case.draw("alpha", 0.65, 0.8)), ("small", case.draw("small alpha", 0.1, 0.25))):
        case.require("blocks grow, and so do their numbers", 0 < size < 1)
        tokens = blocks(n, between, inside, size)
        overlaps = {"between": between, "inside": inside, "size": size}
        first, second = theory.critical_gammas_of_blocks(**overlaps)
        case.require("only large blocks have a phase of their own", (first < second) == (name == "large"))
        gammas = {"below": 0.8 * first, "at the first": first, "in between": (first + second) / 2}
        gammas |= {"at the second": second, "above": 1.2 * second}
        if name == "large":
            margin = min(0.2 * (1 - size), 0.5 * (1 - size) * (second / first - 1), 0.5 * size * (1 - first / second))
        else:
            margin = (1 - inside) / (1 - between) - size
        case.require("phases are apart", margin > (0.039 if name == "large" else 0.045))
        for phase, gamma in gammas.items():
            stated = case.predict(gamma=gamma, **overlaps)
            because = "n = 1e200, where n^-0.05 is 1e-10; rounding of logits up to 3000"
            found, within = cosines(case, tokens, gamma, n), max(1e-8, 30.0 * n**-0.05)
            case.compare(found, stated, within=within, because=because,
                         name=f"cosines in a block and between two, {phase}, {name} blocks")  # fmt: skip


phases = tokens_in_blocks_average_over_all_then_over_their_block_then_copy


@phases.mutation
def one_border(*, between: float, inside: float, size: float, gamma: float) -> tuple[float, float]:
    """One critical gamma, 1/(1 - rho_1), as for equiangular tokens: no phase in between."""
    return (1.0, 1.0) if gamma < 1 / (1 - between) else (inside, between)


@phases.mutation
def overlap_of_the_tokens(*, between: float, inside: float, size: float, gamma: float) -> tuple[float, float]:
    """Means of blocks are given the cosine of their tokens, rho_1: their length, the root of rho_2, is forgotten."""
    first, second = theory.critical_gammas_of_blocks(between=between, inside=inside, size=size)
    options = {"between": between, "inside": inside, "size": size, "gamma": gamma}
    return (1.0, between) if first < gamma < second else theory.limits_of_cosines_of_blocks(**options)


@phases.mutation
def size_of_a_block_ignored(*, between: float, inside: float, size: float, gamma: float) -> tuple[float, float]:
    """Blocks are taken to hold half of all tokens, alpha = 1: a token turns to its block at any gamma."""
    if gamma < 1 / (1 - inside):
        return 1.0, between / inside
    return inside, between


@phases.figure
def cosines_over_gamma(case: Case, ax: Any) -> Any:
    """Draw both cosines over gamma, for one long context, and the limits."""
    overlaps = {"between": case.instance["cosine between"], "inside": case.instance["cosine inside"]}
    size, n = case.instance["alpha"], case.instance["n"]
    tokens = blocks(n, size=size, **overlaps)
    borders = theory.critical_gammas_of_blocks(size=size, **overlaps)
    gammas = np.linspace(0.5 * borders[0], 1.4 * borders[1], 121)
    found = np.array([cosines(case, tokens, float(gamma), n) for gamma in gammas])
    limits = np.array([theory.limits_of_cosines_of_blocks(size=size, gamma=float(g), **overlaps) for g in gammas])
    for k, name in enumerate(("in one block", "in two blocks")):
        ax.plot(gammas, found[:, k], color=ACCENT[k], label=name)
        ax.plot(gammas, limits[:, k], "--", lw=1.2, color=THEORY, label=r"$n\to\infty$" if k else None)
    ax.set(xlabel=r"$\gamma=\beta/\log n$", ylabel="cosine of two outputs")
    ax.set_title(rf"$\rho_1={overlaps['between']:.2f},\ \rho_2={overlaps['inside']:.2f},\ \alpha={size:.2f}$")
    ax.legend()
    return ax
