"""The Jacobian of attention in closed form, and bounds on its norm that no tokens exceed."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.p2312_14820.ascent import Rise, ascended, rise_of_attention
from measureflow.claims.p2312_14820.instances import balls, in_ball, sized, stretches
from measureflow.paths.style import ACCENT, THEORY

PAPER = "2312.14820"
#: tokens and dimension of the exact Jacobians
N, D = 4, 2


@claim(PAPER, "Jacobian of self-attention", covers=["T16"], status="derived", states=theory.jacobian_of_attention)
def jacobian_of_attention_has_three_terms(case: Case) -> None:
    """The Jacobian of attention, with and without a causal mask, is that of the mean, of the query and of the keys."""
    n, d = case.given("n", 6), case.given("d", 3)
    query, key, value = (case.generator(name).normal(size=(d, d)) for name in ("query", "key", "value"))
    beta = case.draw("beta", 0.3, 1.5)
    tokens = mf.Tokens(mf.Euclidean(d), case.generator("tokens").normal(size=(n, d)))
    for mask in (None, "causal"):
        field = mf.SelfAttention(beta, query=query, key=key, value=value, mask=mask)
        measured = case.measure(mf.observe.jacobian, tokens, field=field)
        form = beta * key.T @ query
        predicted = case.predict(np.asarray(tokens.points), form=form, value=value, causal=mask is not None)
        because = "rounding of sums of terms of size up to |V| |A| |x|^2, some hundreds"
        name = f"Jacobian, {'no mask' if mask is None else mask}"
        case.compare(measured, predicted, within=1e-9, because=because, name=name)


@jacobian_of_attention_has_three_terms.mutation
def form_transposed(points: Any, *, form: Any, **options: Any) -> Any:
    """A is taken for its transpose: queries and keys exchanged."""
    return theory.jacobian_of_attention(points, form=np.transpose(form), **options)


@jacobian_of_attention_has_three_terms.mutation
def weights_held(points: Any, *, form: Any, value: Any, causal: bool) -> Any:
    """The weights are held: the mean alone is differentiated."""
    rows = theory.gibbs_law(points @ form.T @ points.T, np.ones(len(points)))
    if causal:
        rows = np.tril(rows) / np.tril(rows).sum(axis=1, keepdims=True)
    return np.kron(rows, value)


@jacobian_of_attention_has_three_terms.mutation
def mask_forgotten(points: Any, *, form: Any, value: Any, causal: bool) -> Any:
    """The causal mask is forgotten."""
    return theory.jacobian_of_attention(points, form=form, value=value)


def largest(seed: int, count: int, form: np.ndarray, causal: bool, n: int) -> float:
    """Return the largest exact constant over random tokens of the ball."""
    return float(stretches(balls(np.random.default_rng(seed), count, n, len(form)), form, causal).max())


def optimised(seed: int, count: int, steps: int, causal: bool, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return norms of forms from 0.03 to 200, and the largest constant that each allows: gradient ascent over the
    tokens of the ball and over the forms of that norm, from random ones."""
    rng = np.random.default_rng(seed)
    norms = 10.0 ** rng.uniform(-1.5, 2.3, count)
    starts = np.concatenate([balls(rng, count, n, d), [sized(rng, d, 1.0) for _ in norms]], axis=1)
    size = norms[:, None, None]

    def rise(states: np.ndarray) -> Rise:
        found, by_points, by_form = rise_of_attention(states[:, :n], size * states[:, n:], causal)
        return Rise(found, np.concatenate([by_points, size * by_form], axis=1))

    def back(states: np.ndarray) -> np.ndarray:
        forms = states[:, n:]
        return np.concatenate([in_ball(states[:, :n]), forms / np.linalg.norm(forms, 2, axis=(1, 2), keepdims=True)], 1)

    top = ascended(rise, starts, steps, back)
    exact = [
        float(stretches(x[None], norm * form, causal)[0])
        for norm, x, form in zip(norms, top[:, :n], top[:, n:], strict=True)
    ]
    return norms, np.array(exact)


def opposed(n: int, form: np.ndarray) -> float:
    """Return the exact constant at the adversarial tokens of the unit ball."""
    points = theory.adversarial_tokens(n, form=form, radius=1.0)
    return float(stretches(points[None], form)[0])


STATES = {
    "measures": theory.lipschitz_of_measures,
    "tokens": theory.lipschitz_of_attention,
    "causal": theory.lipschitz_of_causal_attention,
}


@claim(PAPER, "upper bounds", covers=["T16", "4.2", "4.3"], status="derived", states=STATES, id=f"{PAPER}/bounds")
def no_tokens_exceed_the_bounds(case: Case) -> None:
    """Neither random nor optimised nor adversarial tokens of a ball exceed the bounds of attention on n tokens and on
    measures (W_p and W_2), with and without a causal mask, and those of several heads add: from the standard tier on
    100,000 random configurations in all, and 1,000 raised by gradient ascent, over the form too."""
    count, raised, steps = {"smoke": (150, 16, 40), "standard": (2100, 170, 200)}.get(case.tier, (8000, 600, 400))
    n, d, rows = case.given("n", N), case.given("d", D), []
    for index in range(8):
        rng = case.generator(f"form {index}")
        # |A| R^2 from 0 to a few hundred is met in every draw
        form = sized(rng, d, float(10.0 ** rng.uniform(-1.5 + 0.5 * index, -1.0 + 0.5 * index))) * (index > 0)
        seed = case.seed + index
        rows += [(n, form, causal, case.measure(largest, seed, count, form, causal, n)) for causal in (False, True)]
    for many, root in ((2, -1.0), (30, -2.25), (200, -2.25), (200, -4.0)):
        form = np.diag([root, case.draw(f"other {many} {root}", 0.0, 0.5)])
        rows.append((many, form, False, case.measure(opposed, many, form)))
    for causal in (False, True):
        norms, found = case.measure(optimised, case.seed, raised, steps, causal, n, d)
        rows += [(n, norm, causal, one) for norm, one in zip(norms, found, strict=True)]
    because, states = "rounding of singular values", case.statement
    found = np.array([row[3] for row in rows])
    sizes = np.array([np.linalg.norm(np.atleast_2d(row[1]), 2) for row in rows])
    for name, bounds in stated_bounds(rows, states).items():
        some = np.isfinite(bounds)
        over = {"norm of A": sizes[some]}
        case.at_most(found[some], bounds[some], within=1e-9 * found[some], because=because, name=name, over=over)
        case.instance[f"largest ratio, {name}"] = float((found[some] / bounds[some]).max())
    values = [case.generator(f"value {h}").normal(size=(d, d)) for h in range(2)]
    points = balls(case.generator("heads"), 1, n, d)[0]
    forms = [rows[h][1] for h in (3, 9)]
    heads = sum(theory.jacobian_of_attention(points, form=a, value=v) for a, v in zip(forms, values, strict=True))
    bound = sum(states.tokens(n, form=a, value=v, radius=1.0) for a, v in zip(forms, values, strict=True))
    case.at_most(np.linalg.norm(heads, 2), bound, within=1e-9, because=because, name="two heads")


@no_tokens_exceed_the_bounds.figure
def constants_below_their_bounds(case: Case, ax: Any) -> None:
    """Draw the largest constant that was found at each size of the form, below two of the bounds."""
    n = case.instance["n"]
    for curve, colour, mark, name in (
        (case.curves[0], ACCENT[0], "o", f"largest found, n = {n} and others"),
        (case.curves[3], ACCENT[1], "x", "with a causal mask"),
    ):
        ax.plot(np.maximum(curve.places, 1e-3), curve.measured, mark, color=colour, ms=5, label=name)
    line = np.geomspace(1e-3, 3e2, 100)
    bounds = {
        f"bound, n = {n}": [case.statement.tokens(n, form=one, radius=1.0) for one in line],
        "bound, measures": [case.statement.measures(form=one, radius=1.0) for one in line],
    }
    for (name, values), style in zip(bounds.items(), ("--", "-."), strict=True):
        ax.plot(line, values, style, color=THEORY, lw=1.3, label=name)
    ax.set(xscale="log", yscale="log", xlabel="$|A|R^2$", ylabel="Lipschitz constant")
    ax.set_ylim(0.1, 1e5)
    ax.set_title(f"d = {case.instance['d']}, V = I, R = 1", fontsize=11, loc="left")
    ax.legend(fontsize=9)


def stated_bounds(rows: list[tuple[int, Any, bool, float]], states: Any) -> dict[str, np.ndarray]:
    """Return every bound for every configuration, infinite where it does not apply."""
    found: dict[str, list[float]] = {"tokens": [], "measures": [], "measures, p = 2": [], "causal": []}
    for n, form, causal, _ in rows:
        found["tokens"].append(states.tokens(n, form=form, radius=1.0))
        # W_p of measures holds for tokens that see all others
        found["measures"].append(np.inf if causal else states.measures(form=form, radius=1.0))
        found["measures, p = 2"].append(np.inf if causal else states.measures(form=form, radius=1.0, n=n, p=2))
        found["causal"].append(states.causal(form=form, radius=1.0) if causal else np.inf)
    return {name: np.array(bounds) for name, bounds in found.items()}


@no_tokens_exceed_the_bounds.mutation("measures")
def cosh_lost(**options: Any) -> float:
    """The densities e^a are taken for constants: cosh is lost in W_2, the exponential in W_p."""
    size = float(np.linalg.norm(np.atleast_2d(options["form"]), 2))
    return 1.0 + 3.0 * size


@no_tokens_exceed_the_bounds.mutation("tokens")
def number_of_tokens_lost(n: int, **options: Any) -> float:
    """The bound of one token stands for all n."""
    return theory.lipschitz_of_attention(1, **options)


@no_tokens_exceed_the_bounds.mutation("tokens")
def form_lost(n: int, *, form: Any, value: Any = 1.0, radius: float) -> float:
    """Attention is taken for an average of fixed weights, which stretches by sqrt n at most."""
    return theory.lipschitz_of_attention(n, form=0.0, value=value, radius=radius) / np.sqrt(3.0)


@no_tokens_exceed_the_bounds.mutation("causal")
def constant_of_hardy_lost(*, form: Any, radius: float) -> float:
    """Prefix means are taken for a contraction."""
    size = float(np.linalg.norm(np.atleast_2d(form), 2)) * radius**2
    return size + (1.0 + 2.0 * size) * np.exp(min(2.0 * size, 700.0))
