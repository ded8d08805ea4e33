"""One layer on equiangular tokens at beta = gamma log n: outputs, their limits, and gradients."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, MUTED, THEORY, number, shades

#: tokens of the layer that is computed; the formula takes any number
TOKENS = 32

output = eqx.filter_jit(lambda field, mu: field.output(mu.points, mu))


@claim(
    "2510.05554",
    "equiangular inputs, finite n",
    covers=["V18"],
    status="derived",
    states=theory.cosine_after_attention,
)
def a_layer_on_equiangular_tokens_keeps_them_equiangular(case: Case) -> None:
    """One softmax layer takes equiangular tokens to equiangular outputs, whose cosine is known exactly."""
    rho = case.draw("cosine", 0.1, 0.8)
    gamma = case.draw("gamma / gamma_c", 0.6, 1.4) * theory.critical_gamma(cosine=rho)
    n = case.given("n", TOKENS)
    case.require("two tokens or more, of one cosine", n >= 2 and -1 / (n - 1) < rho < 1)
    stated, because = case.predict(n=n, cosine=rho, gamma=gamma), "rounding of the logits, times n in the products"
    within = 1e-12 * max(1.0, n / TOKENS)
    case.compare(
        cosines_after(case, n, rho, gamma), stated, within=within, because=because, name="cosine of two outputs"
    )


def cosines_after(case: Case, n: int, rho: float, gamma: float) -> np.ndarray:
    """Return the cosines of all pairs of outputs of a layer on equiangular tokens."""
    field, tokens = mf.SelfAttention(gamma * np.log(n)), mf.equiangular(n=n, cosine=rho)
    outputs = np.asarray(case.measure(output, field, tokens))
    directions = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    return (directions @ directions.T)[~np.eye(n, dtype=bool)]


@a_layer_on_equiangular_tokens_keeps_them_equiangular.figure
def cosine_after_a_layer(case: Case, ax: Any) -> Any:
    """Draw the cosine of outputs over gamma, of all pairs of tokens and as stated."""
    n, rho = case.instance["n"], case.instance["cosine"]
    critical = theory.critical_gamma(cosine=rho)
    gammas, fine = critical * np.linspace(0.1, 2.0, 12), critical * np.linspace(0.0, 2.0, 120)
    found = np.array([cosines_after(case, n, rho, float(gamma)) for gamma in gammas])
    ax.plot(fine, [case.predict(n=n, cosine=rho, gamma=gamma) for gamma in fine], "--", color=THEORY, label="stated")
    ax.plot(gammas, found.mean(axis=1), "o", color=ACCENT[0], label="all pairs of outputs")
    ax.axvline(critical, color=MUTED, lw=1, ls=":", label=r"$\gamma_c = 1/(1-\rho)$")
    ax.set(xlabel=r"$\gamma=\beta/\log n$", ylabel="cosine of two outputs", title=rf"$n = {n}$, $\rho = {rho:.2f}$")
    ax.legend()
    return ax


@a_layer_on_equiangular_tokens_keeps_them_equiangular.mutation
def limit_for_finitely_many(*, n: float, cosine: float, gamma: float) -> float:
    """The limit of large n is given for n."""
    return theory.limit_of_cosine_after_attention(cosine=cosine, gamma=gamma)


@a_layer_on_equiangular_tokens_keeps_them_equiangular.mutation
def one_token_too_many(*, n: float, cosine: float, gamma: float) -> float:
    """n stands where n - 1 belongs, at the same beta."""
    return theory.cosine_after_attention(n=n + 1, cosine=cosine, beta=gamma * np.log(n))


@a_layer_on_equiangular_tokens_keeps_them_equiangular.mutation
def weights_of_one_output(*, n: float, cosine: float, gamma: float) -> float:
    """Both outputs are taken to attend to the same token: a^2 + (n-1) c^2 for 2ac + (n-2) c^2."""
    others = (n - 1) * n ** (-gamma * (1 - cosine))
    own, each = 1 / (1 + others), others / (1 + others) / (n - 1)
    return float((cosine + (1 - cosine) * 2 * own * each) / (cosine + (1 - cosine) * (own**2 + (n - 1) * each**2)))


def long_context(n: float, cosine: float) -> mf.Tokens:
    """Return two of n equiangular tokens and, with the mass of all others, their mean: attention sees no difference.

    Every other token has the same logit, `beta * cosine`, and so has their mean, which is not on the sphere.
    """
    height = np.sqrt(cosine * (1 - cosine) / (1 + cosine) + (1 - cosine) / (n - 2))
    side = np.sqrt((1 - cosine) / 2)
    along = np.sqrt((1 + cosine) / 2)
    points = [[along, side, 0.0], [along, -side, 0.0], [cosine / along, 0.0, height]]
    return mf.Tokens(mf.Euclidean(3), points, [1 / n, 1 / n, 1 - 2 / n])


def gap_of_outputs(case: Case, n: float, cosine: float, gamma: float) -> float:
    """Return 1 - cos of two outputs of a layer on n equiangular tokens, from their difference."""
    outputs = np.asarray(case.measure(output, mf.SelfAttention(gamma * np.log(n)), long_context(n, cosine)))
    directions = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    return float(0.5 * ((directions[0] - directions[1]) ** 2).sum())


@claim(
    "2510.05554",
    "phase transition at gamma_c",
    covers=["V18", "E8"],
    status="erratum",
    id="2510.05554/V18-limit",
    states={
        "limit": theory.limit_of_cosine_after_attention,
        "exponent": lambda cosine, gamma: (
            (2.0 if gamma < theory.critical_gamma(cosine=cosine) else 1.0) * -abs(gamma * (1 - cosine) - 1)
        ),
    },
)
def long_contexts_average_below_one_gamma_and_copy_above(case: Case) -> None:
    """As n grows with beta = gamma log n the cosine tends to 1, 4 rho/(1+3 rho) or rho: below, at and above gamma_c."""
    rho = case.draw("cosine", 0.2, 0.7)
    critical, n = theory.critical_gamma(cosine=rho), case.given("n", 1e200)
    below, above, lengths = (
        case.draw("below", 0.6, 0.8),
        case.draw("above", 1.2, 1.5),
        case.given("lengths", (1e20, 1e25)),
    )
    case.require("gamma_c is between", 0 < below < 1 < above)
    case.require("contexts are long, and shorter ones two", 1e60 <= n <= 1e300 and len(lengths) == 2)
    far = min(1 - below, above - 1)
    case.require("gamma is far enough from gamma_c", n**-far < 1e-10 and lengths[0] ** -far < 5e-3)
    seen = min(lengths[1] ** (1 - above), 1e9 * lengths[1] ** (2 * (below - 1)))
    case.require("what is seen of the gaps is above rounding", lengths[0] < lengths[1] and seen > 1e-13)
    for share, place in ((below, "below"), (1.0, "at"), (above, "above")):
        gamma = share * critical
        reached = 1.0 - gap_of_outputs(case, n, rho, gamma)
        because = "n = 1e200, where n^-0.2 is 1e-40; rounding of logits up to 3000"
        stated, name = case.statement.limit(cosine=rho, gamma=gamma), f"cosine of two outputs {place} gamma_c"
        case.compare([reached], stated, within=1e-9, because=because, name=name, over={"gamma": [gamma]})
        if share == 1.0:
            continue
        gaps = [gap_of_outputs(case, length, rho, gamma) for length in lengths]
        if share > 1.0:
            gaps = [1.0 - rho - gap for gap in gaps]
        slope = np.log(gaps[1] / gaps[0]) / np.log(lengths[1] / lengths[0])
        because = "the next term, smaller by n^-0.2 = 1e-4, over log 1e5; rounding of 1e-16 beside a gap above 1e-12"
        case.compare(slope, case.statement.exponent(rho, gamma), within=2e-3, because=because,
                     name=f"exponent of the gap {place} gamma_c")  # fmt: skip


@long_contexts_average_below_one_gamma_and_copy_above.figure
def cosine_over_gamma(case: Case, ax: Any) -> Any:
    """Draw the cosine after a layer over gamma, for longer and longer contexts."""
    rho = case.instance["cosine"]
    critical = theory.critical_gamma(cosine=rho)
    gammas = np.linspace(0.0, 2.0 * critical, 400)
    sizes = (1e2, 1e4, 1e6, 1e12)
    for n, shade in zip(sizes, shades(len(sizes)), strict=True):
        curve = [theory.cosine_after_attention(n=n, cosine=rho, gamma=gamma) for gamma in gammas]
        ax.plot(gammas, curve, color=shade, label=rf"$n=10^{{{np.log10(n):.0f}}}$")
    limit = [theory.limit_of_cosine_after_attention(cosine=rho, gamma=gamma) for gamma in gammas]
    ax.plot(gammas, limit, "--", lw=1.2, color=THEORY, label=r"$n\to\infty$")
    ax.plot([critical], [4 * rho / (1 + 3 * rho)], "o", color=THEORY, label=r"$4\rho/(1+3\rho)$ at $\gamma_c$")
    ax.set(xlabel=r"$\gamma=\beta/\log n$", ylabel="cosine of two outputs", title=rf"$\rho={rho:.2f}$")
    ax.set_ylim(rho - 0.75 * (1 - rho), 1 + 0.05 * (1 - rho))  # no curve falls below rho: the legend's place
    ax.legend(loc="lower center", ncols=2, fontsize=9)
    return ax


@long_contexts_average_below_one_gamma_and_copy_above.mutation("limit")
def value_between_the_phases(*, cosine: float, gamma: float) -> float:
    """At gamma_c the mean of the two phases, (1 + rho)/2."""
    at = np.isclose(gamma, theory.critical_gamma(cosine=cosine))
    return (1 + cosine) / 2 if at else theory.limit_of_cosine_after_attention(cosine=cosine, gamma=gamma)


@long_contexts_average_below_one_gamma_and_copy_above.mutation("limit")
def critical_value_misplaced(*, cosine: float, gamma: float) -> float:
    """The critical gamma is 1, whatever the cosine."""
    return 1.0 if gamma < 1 else cosine


@long_contexts_average_below_one_gamma_and_copy_above.mutation("exponent")
def one_exponent_on_both_sides(cosine: float, gamma: float) -> float:
    """n^-|gamma(1-rho)-1| on both sides, as printed in our notes: below gamma_c the gap is of second order."""
    return -abs(gamma * (1 - cosine) - 1)


@eqx.filter_jit
def gradients_of_the_first_output(field: mf.SelfAttention, mu: mf.Tokens) -> Any:
    """Return the derivative of the first token's output by all tokens, `(d, n d)`."""

    def first(points: Any) -> Any:
        return field.output(points, mf.Tokens(mu.space, points))[0]

    return jax.jacrev(first)(mu.points).reshape(mu.points.shape[1], -1)


def norm_of_gradients(*, n: float, cosine: float, gamma: float) -> float:
    r"""Return the norm of the derivative of one token's output by all n equiangular tokens.

    With $a$ the weight on itself, $c$ on each other, $u_j = x_j - y$ and $C$ the covariance of the tokens it sees, the
    block of token j is $A_{1j}(1 + \beta u_j x_1^T)$, and token 1, the query, has $\beta C$ besides. Their squares add
    up to a matrix that permutations of the others leave alone: a multiple of 1 on differences of others, and a 2x2
    matrix on the plane of $x_1$ and the mean of the others.
    """
    beta = gamma * np.log(n)
    others = (n - 1) * np.exp(-beta * (1 - cosine))
    a, rest = 1 / (1 + others), others / (1 + others)
    c = rest / (n - 1)
    squares = a**2 + rest * c
    one = np.array([1.0, 0.0])
    height = np.sqrt(cosine * (1 - cosine) + (1 - cosine) / (n - 1))
    apart = np.array([1 - cosine, -height])  # x_1 less the mean of the others
    covariance = a * rest * np.outer(apart, apart)
    seen = a**2 * rest * apart - rest * c * a * apart  # sum A_1j^2 u_j
    query = a * beta * (np.eye(2) + beta * rest * np.outer(apart, one)) @ covariance
    plane = squares * np.eye(2) + beta * (np.outer(seen, one) + np.outer(one, seen)) + query + query.T
    plane += beta**2 * ((a**2 * rest**2 + rest * c * a**2) * np.outer(apart, apart) + covariance @ covariance)
    spread = squares + (beta * c) ** 2 * (1 - cosine) * (2 - cosine) + 2 * a * beta * c * (1 - cosine)
    return float(np.sqrt(max(np.linalg.eigvalsh(plane)[-1], spread)))


def limit_of_gradients(cosine: float, gamma: float, n: float) -> float:
    """Return what the norm tends to: 0 below gamma_c, 1 above; at gamma_c it grows with log n, at a known rate."""
    critical = theory.critical_gamma(cosine=cosine)
    if np.isclose(gamma, critical):
        return float(0.25 * np.log(n) * np.sqrt((4 - 3 * cosine) / (1 - cosine)))
    return float(gamma > critical)


@claim(
    "2510.05554",
    "gradients",
    covers=["5.4"],
    status="derived",
    id="2510.05554/gradients",
    states={"norm": norm_of_gradients, "limit": limit_of_gradients},
)
def gradients_vanish_below_gamma_c_and_survive_above(case: Case) -> None:
    """The derivative of one token's output by all equiangular tokens tends to 0 below gamma_c, and to that of a copy,
    of norm 1, above.

    Its norm is derived here for finite n, and what it shows between: at gamma_c, where half of the weight is on the
    token itself, the derivative of the weights makes it grow like log(n) sqrt((4 - 3 rho)/(1 - rho))/4.
    """
    rho = case.draw("cosine", 0.2, 0.7)
    critical = theory.critical_gamma(cosine=rho)
    shares = (case.draw("below", 0.5, 0.8), 1.0, case.draw("above", 1.2, 1.5))
    few, n = case.given("n", TOKENS), case.given("n in the limit", 1e200)
    case.require("three tokens or more, of one cosine", few >= 3 and 0 < rho < 1)
    case.require("gamma_c is between, and the context long", 0 < shares[0] < 1 < shares[2] and 1e60 <= n <= 1e300)
    for name, share in zip(("below", "at", "above"), shares, strict=True):
        measured = measured_norm(case, few, rho, share * critical)
        stated = case.statement.norm(n=few, cosine=rho, gamma=share * critical)
        because, within = "rounding of the logits, times n", 1e-11 * max(1.0, few / TOKENS)
        case.compare([measured], stated, within=within, relative=True, because=because,
                     name=f"norm of the gradients {name} gamma_c", over={"gamma": [share * critical]})  # fmt: skip
        # the formula, which the tokens bear out, for a context of any length
        reached = norm_of_gradients(n=n, cosine=rho, gamma=share * critical)
        size = np.log(n) if share == 1.0 else 1.0
        stated = case.statement.limit(rho, share * critical, n)
        because = "n = 1e200: beta n^-0.2 is below 1e-36; at gamma_c terms of order 1 beside log n = 461"
        case.compare(
            reached / size, stated / size, within=0.01, because=because, name=f"norm {name} gamma_c, in the limit"
        )


def measured_norm(case: Case, n: int, rho: float, gamma: float) -> float:
    """Return the norm of the derivative of the first token's output by all equiangular tokens."""
    field, tokens = mf.SelfAttention(gamma * np.log(n)), mf.equiangular(n=n, cosine=rho)
    return float(np.linalg.norm(np.asarray(case.measure(gradients_of_the_first_output, field, tokens)), 2))


@gradients_vanish_below_gamma_c_and_survive_above.figure
def gradients_over_gamma(case: Case, ax: Any) -> Any:
    """Draw the norm over gamma, measured for the tokens and as stated for longer and longer contexts."""
    n, rho = case.instance["n"], case.instance["cosine"]
    critical = theory.critical_gamma(cosine=rho)
    fine = critical * np.linspace(0.05, 2.0, 160)
    sizes = (float(n), 1e3 * n, 1e6 * n, 1e12 * n)
    for size, shade in zip(sizes, shades(len(sizes)), strict=True):
        stated = [case.statement.norm(n=size, cosine=rho, gamma=float(gamma)) for gamma in fine]
        ax.plot(fine, stated, "--", lw=1.4, color=shade, label=f"stated, $n = {number(size)}$")
    gammas = critical * np.linspace(0.2, 1.9, 10)
    found = [measured_norm(case, n, rho, float(gamma)) for gamma in gammas]
    ax.plot(gammas, found, "o", color=THEORY, label=f"measured, $n = {n}$")
    ax.axvline(critical, color=MUTED, lw=1, ls=":", label=r"$\gamma_c$")
    ax.set(xlabel=r"$\gamma=\beta/\log n$", ylabel="norm of the gradients", title=rf"$\rho = {rho:.2f}$")
    ax.legend(fontsize=9)
    return ax


@gradients_vanish_below_gamma_c_and_survive_above.mutation("norm")
def weights_held_fixed(*, n: float, cosine: float, gamma: float) -> float:
    """The derivative of the weights is left out."""
    others = (n - 1) * n ** (-gamma * (1 - cosine))
    return float(np.sqrt(1 + others**2 / (n - 1)) / (1 + others))


@gradients_vanish_below_gamma_c_and_survive_above.mutation("norm")
def another_token(*, n: float, cosine: float, gamma: float) -> float:
    """n + 1 tokens at the same beta."""
    return norm_of_gradients(n=n + 1, cosine=cosine, gamma=gamma * np.log(n) / np.log(n + 1))


@gradients_vanish_below_gamma_c_and_survive_above.mutation("limit")
def phases_exchanged(cosine: float, gamma: float, n: float) -> float:
    """Gradients survive below gamma_c and vanish above, where a token sees no other."""
    at = np.isclose(gamma, theory.critical_gamma(cosine=cosine))
    return limit_of_gradients(cosine, gamma, n) if at else 1.0 - limit_of_gradients(cosine, gamma, n)


@gradients_vanish_below_gamma_c_and_survive_above.mutation("limit")
def half_a_copy_at_the_border(cosine: float, gamma: float, n: float) -> float:
    """At gamma_c the weight on itself, 1/2, as if weights did not change."""
    at = np.isclose(gamma, theory.critical_gamma(cosine=cosine))
    return 0.5 if at else limit_of_gradients(cosine, gamma, n)
