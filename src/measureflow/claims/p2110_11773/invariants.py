"""What double stochasticity keeps: both marginals, the motion of the mean, a score up to functions of one variable."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import masses
from measureflow.paths.style import ACCENT, MUTED, THEORY, shades

N, D = 8, 3

weights = eqx.filter_jit(lambda field, mu: field.weights(mu.points, mu))


def tokens_of(case: Case, weights: Any = None) -> mf.Tokens:
    """Draw tokens in space."""
    n, d = case.given("n", N), case.given("d", D)
    return mf.Tokens(mf.Euclidean(d), case.generator("tokens").normal(size=(n, d)), weights)


def matrices(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw query, key and value, none of them symmetric, of norms about 1."""
    d = case.given("d", D)
    query, key, value = case.generator("matrices").normal(size=(3, d, d)) / np.sqrt(d)
    return query, key, 0.5 * value


@claim(
    "2110.11773",
    "doubly stochastic attention",
    covers=["2.1"],
    status="theorem",
    states=lambda: "sinkhorn",
    id="2110.11773/2.1-marginals",
)
def rows_and_columns_sum_to_one(case: Case) -> None:
    """Rows sum to 1 and columns to the mass of their token, to 1e-12, for any score and any masses."""
    a = masses(case, case.given("n", N))
    query, key, _ = matrices(case)
    beta, over = np.asarray(case.given("beta", 1.0)), {"token": np.arange(1, len(a) + 1)}
    field = mf.SelfAttention(beta, query=query, key=key, weighting=case.predict())
    found = np.asarray(case.measure(weights, field, tokens_of(case, a)))
    because = "the tolerance of the iteration, 1e-12, twice for the margin"
    case.compare(found.sum(axis=1), 1.0, within=2e-12, because=because, name="sums of rows", over=over)
    case.compare(a @ found / a, 1.0, within=2e-12, because=because, name="sums of columns, over the mass", over=over)


@rows_and_columns_sum_to_one.figure
def sums_beside_softmax(case: Case, ax: Any) -> None:
    """Draw the sums of rows and columns, and the columns that softmax attention has."""
    a, (query, key, _) = masses(case, case.given("n", N)), matrices(case)
    mu, beta = tokens_of(case, a), np.asarray(case.instance["beta"])
    plain = np.asarray(case.measure(weights, mf.SelfAttention(beta, query=query, key=key), mu))
    places = np.arange(1, len(a) + 1)
    ax.plot(places, a @ plain / a, "x", color=MUTED, ms=9, mew=2, label="columns of softmax")
    rows, columns = case.curves
    ax.plot(places, rows.measured, "o", color=ACCENT[0], ms=11, mfc="none", mew=2, label="rows of Sinkhorn")
    ax.plot(places, columns.measured, "o", color=ACCENT[1], ms=5, label="columns of Sinkhorn")
    ax.axhline(1.0, color=THEORY, ls="--", lw=1.2, label="stated")
    ax.set(xlabel="token", ylabel="sum of weights")
    about = (len(a), case.instance["d"], case.instance["beta"])
    ax.set_title("n = {}, d = {}, beta = {:g}, unequal masses".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@rows_and_columns_sum_to_one.mutation
def five_half_steps() -> mf.fields.Sinkhorn:
    """Five half steps, as the published models take: exact rows and approximate columns."""
    return mf.fields.Sinkhorn(iterations=5)


@rows_and_columns_sum_to_one.mutation
def one_half_step() -> str:
    """One half step: softmax."""
    return "softmax"


@claim(
    "2110.11773",
    "the mean of tokens",
    covers=["T12"],
    status="derived",
    states=lambda depth, step, value, mean: np.linalg.matrix_power(np.eye(len(mean)) + step * value, depth) @ mean,
    id="2110.11773/T12-mean",
)
def the_mean_obeys_a_linear_equation(case: Case) -> None:
    """The mean obeys m' = V m exactly, for any n, masses, query and key: columns sum to one. In layers m -> m + h V m.

    What is compared are layers, of whose maps this is exact as well.
    """
    (means, value), step = means_of_layers(case), case.instance["step"]
    case.require("the mean is not zero", bool(np.linalg.norm(means[0]) > 0.1))
    # what is off grows with the tokens
    size = max(1.0, (1.0 + step * float(np.linalg.norm(value, 2))) ** (len(means) - 1) / 5.0)
    because = "columns off by 1e-12, and rounding"
    for depth in dict.fromkeys((1, len(means) - 1)):
        stated = case.predict(depth, step, value, means[0])
        case.compare(means[depth], stated, within=1e-11 * size, because=because, name=f"mean at depth {depth}")


def means_of_layers(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of the tokens at every depth, and the value matrix."""
    a, (query, key, value) = masses(case, case.given("n", N)), matrices(case)
    beta, depth, step = np.asarray(case.given("beta", 1.0)), case.given("depth", 4), case.given("step", 0.25)
    field = mf.SelfAttention(beta, query=query, key=key, value=value, weighting="sinkhorn")
    path = case.measure(mf.layers, tokens_of(case, a), field, depth=depth, step=step)
    return a @ np.asarray(path.points), value


@the_mean_obeys_a_linear_equation.figure
def mean_along_depth(case: Case, ax: Any) -> None:
    """Draw the coordinates of the mean at every depth."""
    (means, value), step = means_of_layers(case), case.instance["step"]
    depths = np.arange(len(means))
    law = np.stack([case.predict(int(k), step, value, means[0]) for k in depths])
    for k, colour in enumerate(shades(means.shape[1])):
        ax.plot(depths, means[:, k], "o", color=colour, ms=8, label=f"coordinate {k + 1}")
        ax.plot(depths, law[:, k], "--", color=THEORY, lw=1.3, label="stated" if k == 0 else None)
    ax.set(xlabel="layer", ylabel="mean of the tokens")
    about = (case.instance["n"], case.instance["d"], case.instance["beta"], step)
    ax.set_title("n = {}, d = {}, beta = {:g}, step {:g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@the_mean_obeys_a_linear_equation.mutation
def value_forgotten(depth: int, step: float, value: Any, mean: Any) -> Any:
    """The mean grows like (1 + h)^k, whatever V is."""
    return (1 + step) ** depth * mean


@the_mean_obeys_a_linear_equation.mutation
def value_transposed(depth: int, step: float, value: Any, mean: Any) -> Any:
    """V is transposed."""
    return np.linalg.matrix_power(np.eye(len(mean)) + step * value.T, depth) @ mean


@the_mean_obeys_a_linear_equation.mutation
def mean_at_rest(depth: int, step: float, value: Any, mean: Any) -> Any:
    """The mean rests, as if attention were an exchange between tokens."""
    return mean


@claim(
    "2110.11773",
    "score up to functions of one variable",
    covers=["2.4"],
    status="derived",
    states=lambda beta: 2 * beta,
    id="2110.11773/2.4-invariance",
)
def functions_of_one_variable_do_not_count(case: Case) -> None:
    """Adding u(x) + w(y) to the score changes nothing: -b |Qx - Ky|^2 attends as 2 b <Qx, Ky> does."""
    beta, a = case.draw("beta", 0.3, 0.8), masses(case, case.given("n", N))
    query, key, _ = matrices(case)
    mu, both = tokens_of(case, a), {"query": query, "key": key, "weighting": "sinkhorn"}
    squared = case.measure(weights, mf.SelfAttention(np.asarray(beta), score="l2", **both), mu)
    plain = case.measure(weights, mf.SelfAttention(np.asarray(case.predict(beta)), **both), mu)
    because = "two solutions to the tolerance 1e-12, divided by the contraction of the iteration"
    case.compare(squared, plain, within=1e-10, because=because, name="weights by squared distances")


@functions_of_one_variable_do_not_count.mutation
def factor_two_lost(beta: float) -> float:
    """The 2 of the mixed term of a square is lost."""
    return beta


@functions_of_one_variable_do_not_count.mutation
def sign_of_the_mixed_term(beta: float) -> float:
    """The mixed term is halved instead."""
    return beta / 2


@claim(
    "2110.11773",
    "bandwidth below the distance of neighbours",
    covers=["2.4"],
    status="derived",
    states=lambda squares, epsilon: -squares / (2 * epsilon),
    id="2110.11773/2.4-particles",
)
def few_tokens_see_themselves_alone(case: Case) -> None:
    r"""On n tokens the heat limit ends where eps is small: k tends to the identity, k_ij = e^(-|x_i - x_j|^2/2 eps).

    So the velocity T(x) - x vanishes, exponentially in 1/eps. Derived: a matrix near the identity has f_i = -c_ii/2 up
    to the sum of a row beside its diagonal. (Softmax of the same score <x, y>/eps sends every token to an extreme one.)
    """
    mu = tokens_of(case)
    x = np.asarray(mu.points)
    squares = ((x[:, None] - x) ** 2).sum(axis=-1)
    n = len(x)
    apart = ~np.eye(n, dtype=bool)
    epsilon = float(squares[apart].min()) / case.draw("squares of distance in eps", 24.0, 36.0)
    field = mf.SelfAttention(np.asarray(1.0 / epsilon), weighting="sinkhorn")
    found = np.asarray(case.measure(weights, field, mu))
    # what is smaller than the tolerance of the columns is not resolved
    seen = apart & (squares / (2 * epsilon) < 20)
    case.require("some pairs are resolved", bool(seen.any()))
    because = "the sum of a row beside its diagonal, 7 e^-12 at most, and rounding"
    beside = 2.0 * (n - 1) * np.exp(-0.5 * case.instance["squares of distance in eps"])
    within, over = max(1e-3 * max(1.0, n / N), beside), {"squared distance, in 2 eps": squares[seen] / (2 * epsilon)}
    stated, name = case.predict(squares[seen], epsilon), "log of weights"
    case.compare(np.log(found[seen]), stated, within=within, because=because, name=name, over=over)
    case.compare(found[~apart], 1.0, within=within, because=because, name="diagonal")


@few_tokens_see_themselves_alone.figure
def weights_of_far_tokens(case: Case, ax: Any) -> None:
    """Draw the weights of all pairs that are resolved over the kernel."""
    curve = case.curves[0]
    ax.plot(curve.places, np.exp(curve.measured), "o", color=ACCENT[0], ms=8, label="pairs of tokens")
    ax.plot([0.0], [case.curves[1].measured[0]], "s", color=ACCENT[1], ms=8, label="a token itself")
    line = np.linspace(0.0, 1.1 * curve.places.max(), 50)
    ax.plot(line, np.exp(-line), "--", color=THEORY, label=r"stated $e^{-|x_i - x_j|^2/2\epsilon}$")
    ax.set(yscale="log", xlabel=r"$|x_i - x_j|^2/2\epsilon$", ylabel="weight $k_{ij}$")
    ax.set_title("n = {}, d = {}, Sinkhorn".format(case.instance["n"], case.instance["d"]), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@few_tokens_see_themselves_alone.mutation
def width_of_the_kernel(squares: Any, epsilon: float) -> Any:
    """The kernel is e^(-|x - y|^2/eps)."""
    return -squares / epsilon


@few_tokens_see_themselves_alone.mutation
def convention_of_four(squares: Any, epsilon: float) -> Any:
    """The kernel is that of the heat equation, e^(-|x - y|^2/4 eps)."""
    return -squares / (4 * epsilon)
