"""Sinkhorn attention on Gaussians: the coupling in closed form, the mean of any tokens, and the shortcut that fails."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import masses, speeds
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: nodes along each axis of the quadrature of a normal law
NODES = 24


def standard_grid() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and masses of a product rule for the standard normal law of the plane."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    grid = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.outer(weights, weights).ravel()
    heavy = weights > 1e-14 * weights.sum()  # the rest is below rounding, and its logits would be large
    return grid[heavy], weights[heavy] / weights[heavy].sum()


def coupling_on_grid(case: Case, root: np.ndarray, form: np.ndarray) -> np.ndarray:
    """Return Cov(x, y) of the plan that attention makes of a quadrature of N(0, L L^T): the mean of x v(x)^T."""
    nodes, masses = standard_grid()
    tokens = mf.Tokens(mf.Euclidean(2), nodes @ root.T, masses)
    field = mf.SelfAttention(1.0, query=form, key=np.eye(2), weighting="sinkhorn")
    return (masses[:, None] * np.asarray(tokens.points)).T @ speeds(case, field, tokens)


def instance(case: Case, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a root of a covariance and a form of a rank, whose largest phi is between 0.4 and 0.7."""
    root, left, right = case.generator("law").normal(size=(3, 2, 2))
    form = left[:, :rank] @ right[:rank]
    phi = case.draw("phi", 0.4, 0.7)
    return root, form * phi / np.linalg.norm(root.T @ form @ root, 2)


def speeds_by_hand(field: mf.Field, tokens: mf.Tokens) -> np.ndarray:
    """Return the velocities, not compiled as one: Newton's method then ends an iteration that is slow."""
    return np.asarray(field(tokens.points, tokens))


@claim(
    "2501.18322",
    "Sinkhorn attention",
    covers=["T12", "5.2"],
    status="derived",
    states=theory.sinkhorn_coupling_of_gaussian,
)
def doubly_stochastic_coupling_of_a_gaussian(case: Case) -> None:
    """The doubly stochastic coupling of N(0, S) with itself has Cov(x, y) = S^1/2 U gamma(phi) W^T S^1/2."""
    root, form = instance(case, case.given("rank", 2))
    case.require("the form is not symmetric", bool(np.abs(form - form.T).max() > 1e-3))
    case.require("the rule resolves the logits", case.instance["phi"] <= 1.6)
    measured = coupling_on_grid(case, root, form)
    cov = root @ root.T
    because = f"a rule of {NODES} nodes along each axis on logits of a few units, and columns off by 1e-12"
    within = 1e-8 * np.abs(cov).max()
    case.compare(measured, case.predict(cov, form), within=within, because=because, name="Cov(x, y)")


def draw_gamma(case: Case, ax: Any, rank: int) -> None:
    """Draw the singular values of the measured coupling over gamma(phi)."""
    root, form = instance(case, rank)
    values, vectors = np.linalg.eigh(root @ root.T)
    half, back = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    phi = np.linalg.svd(half @ form.T @ half, compute_uv=False)
    found = np.linalg.svd(back @ coupling_on_grid(case, root, form) @ back, compute_uv=False)
    line = np.linspace(0.0, max(1.0, 1.2 * phi.max()), 100)
    ax.plot(line, 2 * line / (1 + np.sqrt(1 + 4 * line**2)), "--", color=THEORY, label=r"stated $\gamma(\varphi)$")
    ax.plot(line, line, ":", color=MUTED, lw=1.2, label="softmax")
    ax.plot(phi, found, "o", color=ACCENT[0], ms=9, label="measured")
    ax.set(xlabel=r"$\varphi$: singular values of $S^{1/2}A^TS^{1/2}$", ylabel="singular values of the coupling")
    said = f"rank {rank}: phi = " + ", ".join(f"{one:.3g}" for one in phi)
    ax.set_title(said, fontsize=11, loc="left")
    ax.legend(fontsize=9)


@doubly_stochastic_coupling_of_a_gaussian.figure
def singular_values_of_the_coupling(case: Case, ax: Any) -> None:
    """Draw the measured coupling over gamma(phi)."""
    draw_gamma(case, ax, case.instance["rank"])


def with_gamma(gamma: Any, cov: Any, form: Any) -> np.ndarray:
    """Return the coupling with another gamma."""
    values, vectors = np.linalg.eigh(cov)
    root = (vectors * np.sqrt(values)) @ vectors.T
    left, phi, right = np.linalg.svd(root @ form.T @ root)
    return root @ (left * gamma(phi)) @ right @ root


@doubly_stochastic_coupling_of_a_gaussian.mutation
def four_lost_under_the_root(cov: Any, form: Any) -> Any:
    """gamma is 2 phi / (1 + sqrt(1 + phi^2))."""
    return with_gamma(lambda phi: 2 * phi / (1 + np.sqrt(1 + phi**2)), cov, form)


@doubly_stochastic_coupling_of_a_gaussian.mutation
def gamma_of_softmax(cov: Any, form: Any) -> Any:
    """Rows alone are normalised: C = S A^T S."""
    return with_gamma(lambda phi: phi, cov, form)


@doubly_stochastic_coupling_of_a_gaussian.mutation
def transposed(cov: Any, form: Any) -> Any:
    """Cov(y, x) stands for Cov(x, y)."""
    return theory.sinkhorn_coupling_of_gaussian(cov, form).T


@claim(
    "2501.18322",
    "Sinkhorn attention, a form of low rank",
    covers=["T12", "8"],
    status="derived",
    states=theory.sinkhorn_coupling_of_gaussian,
    id="2501.18322/T12-low-rank",
)
def coupling_holds_for_heads_of_low_rank(case: Case) -> None:
    """Where the head has fewer dimensions than the tokens, A is singular and the coupling is the same formula."""
    root, form = instance(case, 1)
    case.require("the rule resolves the logits", case.instance["phi"] <= 1.6)
    cov = root @ root.T
    axis = np.linalg.svd(form)[2][1]  # what A does not see
    case.require("S mixes what A sees and does not see", bool(np.abs(axis @ cov @ form.T).max() > 1e-3))
    measured = coupling_on_grid(case, root, form)
    because = f"a rule of {NODES} nodes along each axis on logits of a few units, and columns off by 1e-12"
    within = 1e-8 * np.abs(cov).max()
    case.compare(measured, case.predict(cov, form), within=within, because=because, name="Cov(x, y)")


@coupling_holds_for_heads_of_low_rank.figure
def singular_values_at_low_rank(case: Case, ax: Any) -> None:
    """Draw the measured coupling over gamma(phi), one of which is 0."""
    draw_gamma(case, ax, 1)


@coupling_holds_for_heads_of_low_rank.mutation
def pseudo_inverse_of_the_form(cov: Any, form: Any) -> Any:
    """As the released script has it: the equation of C is solved by pseudo-inverses of A and S."""
    root = np.linalg.cholesky(cov)
    inner = np.linalg.eigh(4 * root.T @ form.T @ cov @ form @ root + np.eye(2))
    grown = (inner[1] * np.sqrt(inner[0])) @ inner[1].T
    middle = 0.5 * (root @ grown @ np.linalg.inv(root) - np.eye(2))
    return (np.linalg.pinv(form.T) @ np.linalg.inv(cov) @ middle @ cov).T


@coupling_holds_for_heads_of_low_rank.mutation
def gamma_of_softmax_at_low_rank(cov: Any, form: Any) -> Any:
    """Rows alone are normalised: C = S A^T S."""
    return cov @ form.T @ cov


@claim(
    "2501.18322",
    "Sinkhorn attention, mean",
    covers=["T12", "5.3"],
    status="derived",
    states=theory.mean_under_sinkhorn_attention,
    id="2501.18322/T12-mean",
)
def mean_moves_as_if_alone_under_sinkhorn_attention(case: Case) -> None:
    """Under doubly stochastic attention the mean of any n tokens is exactly e^{Vt} m_0: its velocity is V m."""
    generator, n, d = case.generator("tokens"), case.given("n", 5), case.given("d", 2)
    points = generator.exponential(size=(n, d)) - 0.3
    query, value = 0.5 * generator.normal(size=(2, d, d))
    weights = masses(case, n)
    field = mf.SelfAttention(case.given("beta", 1.0), query=query, key=np.eye(d), value=value, weighting="sinkhorn")
    measured = weights @ case.measure(speeds_by_hand, field, mf.Tokens(mf.Euclidean(d), points, weights))
    step = 1e-4
    first, second, third = case.predict(step * np.arange(3.0), weights @ points, value)
    stated = (4 * second - 3 * first - third) / (2 * step)
    size = 1 + np.linalg.norm(value, 2) ** 3
    because = "a difference of second order with step 1e-4, and columns that sum to one within 1e-12"
    over = {"coordinate": np.arange(1, d + 1)}
    case.compare(measured, stated, within=1e-7 * size, because=because, name="velocity of the mean", over=over)


@mean_moves_as_if_alone_under_sinkhorn_attention.mutation
def value_transposed(times: Any, mean: Any, value: Any) -> Any:
    """V^T stands for V."""
    return theory.mean_under_sinkhorn_attention(times, mean, value.T)


@mean_moves_as_if_alone_under_sinkhorn_attention.mutation
def mean_at_rest(times: Any, mean: Any, value: Any) -> Any:
    """The mean stays where it is, as for repulsion between pairs."""
    return np.stack([mean] * len(times))
