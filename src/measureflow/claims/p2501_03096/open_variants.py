"""Open questions about what survives when the model changes: other norms, perceptrons, masks, heads, and training."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.instances import normalised, velocity
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2501.03096"
#: how strong perceptrons are, by tier
STRENGTHS = {"smoke": (0.1,)}


@exploration(PAPER, "other norms, perceptrons, noise", covers=["Q5"], id=f"{PAPER}/Q5")
def which_limits_survive_other_norms(case: Case) -> dict[str, Any]:
    """Do limits of the post-norm flow of a form survive another place of the norm, a perceptron, or noise?

    Known: under a norm only the speeds of the directions change, so that limits of the whole cloud stay and rates do
    not; with a perceptron or noise nothing is known. Attraction by D with eigenvalues 1, 0.3, -0.8, under which one
    cluster at e_1 is stable. Reported for each variant: the mean |<x, e_1>| and the length of the mean at the end.
    """
    n = case.given("n", {"smoke": 10}.get(case.tier, 64))
    until = case.given("t", {"smoke": 30.0}.get(case.tier, 300.0))
    values, noise = case.given("eigenvalues of D", (1.0, 0.3, -0.8)), case.given("noise", 0.02)
    case.require("D has three eigenvalues, the largest first", len(values) == 3 and values[0] == max(values))
    points = normalised(case.generator("tokens").normal(size=(n, 3)))
    field = mf.gradient_attention(np.diag(values))
    inner, outer = case.generator("perceptron").normal(size=(2, 3, 3)) / np.sqrt(3)
    on_sphere, free = mf.Tokens(mf.Sphere(3), points), mf.Tokens(mf.Euclidean(3), points)
    variants: dict[str, tuple[mf.Tokens, Any, dict[str, Any]]] = {
        "post-norm": (on_sphere, field, {}),
        "pre-norm": (free, field, {"normalisation": mf.PreLN()}),
        "peri-norm": (free, field, {"normalisation": mf.PeriLN()}),
        f"noise {noise:g}": (on_sphere, field, {"noise": noise, "seed": case.seed % 2**31}),
    }
    if case.tier == "smoke":
        wanted = ("post-norm", "pre-norm", *([f"noise {noise:g}"] if "noise" in case.parameters else []))
        variants = {name: variants[name] for name in wanted}
    for strength in case.given("strengths of perceptrons", STRENGTHS.get(case.tier, (0.03, 0.1, 0.3, 1.0))):
        perceptron = mf.Perceptron(inner, strength * outer, activation="tanh")
        variants[f"perceptron {strength:g}"] = (on_sphere, field + perceptron, {})
    found: dict[str, Any] = {"tokens": n, "until": until}
    for name, (tokens, moving, options) in variants.items():
        last = normalised(np.asarray(mf.flow(tokens, moving, until=until, save=2, keep="last", **options).points[-1]))
        found[name] = {
            "mean |<x, e_1>|": float(np.abs(last[:, 0]).mean()),
            "length of the mean": float(np.linalg.norm(last.mean(axis=0))),
        }
    return found


@which_limits_survive_other_norms.figure
def limits_of_variants(findings: Findings, ax: Any) -> None:
    """Draw for every variant how near tokens are to the axis and to each other; at the known limit both are 1."""
    found = findings.found
    rows = {name: row for name, row in found.items() if isinstance(row, dict)}
    looks = {"mean |<x, e_1>|": ("o", ACCENT[0], 0.12), "length of the mean": ("s", ACCENT[1], -0.12)}
    for what, (marker, colour, lift) in looks.items():
        label = {"mean |<x, e_1>|": r"mean $|\langle x, e_1\rangle|$: on the axis"}.get(what, f"{what}: together")
        ax.plot(
            [row[what] for row in rows.values()], np.arange(len(rows)) + lift, marker, ms=9, color=colour, label=label
        )
    ax.axvline(1.0, ls="--", color=THEORY, label="one cluster at $e_1$")
    ax.axvline(found["tokens"] ** -0.5, ls=":", color=MUTED, label="length of the mean of uniform tokens")
    ax.set(xlabel=f"at t = {found['until']:g}, {found['tokens']} tokens", xlim=(0, 1.05), ylim=(-0.5, len(rows) - 0.5))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


@exploration(PAPER, "masks and heads", covers=["Q7"], id=f"{PAPER}/Q7")
def is_there_a_metric_for_masks_and_heads(case: Case) -> dict[str, Any]:
    """Is masked or multi-head attention a gradient flow in any metric that weighs tokens one by one?

    Softmax attention with V = ±D is one for weights Z_i(X) that depend on all tokens. At one configuration a metric
    with weights m_i (1 + <g_i, .>) would make the Jacobian of (m_i v_i) symmetric up to the rank-one terms v_i g_i^T:
    reported is the least asymmetry over all m >= 0.2 of mean 1 and all g, relative to the Jacobian; 0 for what is a
    gradient flow. A value above 0 rules such a metric out, 0 does not prove one. (In d = 5: up to d = 3 the g alone
    can make any Jacobian symmetric.)
    """
    n, d = case.given("n", {"smoke": 4}.get(case.tier, 12)), case.given("d", 5)
    case.require("d is at least 4: below, g alone makes any Jacobian symmetric", d >= 4)
    tokens = mf.Tokens(mf.Sphere(d), normalised(case.generator("tokens").normal(size=(n, d))))
    one, other = (make_symmetric(case.generator(name).normal(size=(d, d))) for name in ("first", "second"))
    fields = {
        "unnormalised": mf.gradient_attention(one, weighting="unnormalised"),
        "softmax": mf.gradient_attention(one),
        "softmax, causal": mf.SelfAttention(beta=1.0, query=one, value=one, mask="causal"),
        "two heads": mf.MultiHead([mf.gradient_attention(one), mf.gradient_attention(other)]),
        "V unrelated to D": mf.SelfAttention(beta=1.0, query=one, value=other),
    }
    frames = np.asarray(tokens.space.frame(tokens.points))
    found: dict[str, Any] = {"tokens": n, "d": d}
    for name, field in fields.items():
        jacobian = np.asarray(mf.observe.jacobian(tokens, field=field))
        speeds = np.einsum("nd,ndk->nk", np.asarray(velocity(field, tokens)), frames)
        found[name] = least_asymmetry(jacobian, speeds)
    return found


@is_there_a_metric_for_masks_and_heads.figure
def asymmetries(findings: Findings, ax: Any) -> None:
    """Draw the least asymmetry of every kind of attention, 0 for a gradient flow."""
    found = findings.found
    rows = {name: value for name, value in found.items() if name not in ("tokens", "d")}
    known = {"unnormalised", "softmax"}
    for place, (name, value) in enumerate(rows.items()):
        colour = MUTED if name in known else ACCENT[0]
        ax.barh(place, value, color=colour, height=0.55)
        ax.annotate(f"{value:.2g}", (value, place), xytext=(5, 0), textcoords="offset points", va="center")
    ax.plot([], [], "s", color=MUTED, label="known to be gradient flows")
    ax.plot([], [], "s", color=ACCENT[0], label="open")
    ax.axvline(0.0, ls="--", color=THEORY, label="0: a gradient flow")
    ax.set(xlabel=f"least asymmetry over all such metrics, n = {found['tokens']}, d = {found['d']}", xlim=(-0.01, None))
    ax.set_yticks(range(len(rows)), list(rows))
    ax.legend()


def make_symmetric(form: np.ndarray) -> np.ndarray:
    """Return the symmetric part."""
    return (form + form.T) / 2


def least_asymmetry(jacobian: np.ndarray, speeds: np.ndarray) -> float:
    """Return the least |A - A^T| / |mJ| over A = m J + v g^T, with m a positive weight for every token.

    Linear in (m, g) for m of mean 1: least squares with non-negative m.
    """
    from scipy.optimize import lsq_linear

    n, k = speeds.shape
    size = n * k
    columns = []
    for i in range(n):
        own = np.zeros_like(jacobian)
        own[i * k : (i + 1) * k] = jacobian[i * k : (i + 1) * k]
        columns.append((own - own.T).ravel())
    for i in range(n):
        for j in range(size):
            turned = np.zeros_like(jacobian)
            turned[i * k : (i + 1) * k, j] = speeds[i]
            columns.append((turned - turned.T).ravel())
    weight = 1e3 * np.linalg.norm(jacobian)  # holds the mean of m at 1
    rows = np.vstack([np.array(columns).T, np.concatenate([np.full(n, weight / n), np.zeros(n * size)])])
    target = np.concatenate([np.zeros(size**2), [weight]])
    low = np.concatenate([np.full(n, 0.2), np.full(n * size, -np.inf)])
    solved = lsq_linear(rows, target, bounds=(low, np.inf))
    weighed = np.repeat(solved.x[:n], k)[:, None] * jacobian
    return float(np.linalg.norm((rows @ solved.x - target)[:-1]) / np.linalg.norm(weighed))


@exploration(PAPER, "what training selects", covers=["Q12"], id=f"{PAPER}/Q12")
def which_forms_does_training_select(case: Case) -> dict[str, Any]:
    """Where in the phase diagram of two eigenvalues do forms end that are trained, and do they meet its limits?

    Layers on the circle, N(x + h A(x)), with one form D for all layers and V = D, D free (an antisymmetric part too),
    trained by gradient descent on one of two tasks over random clouds: gather all tokens in one point, or send each to
    the nearer end of the first axis. Reported: the eigenvalues of the trained symmetric part, the antisymmetric part
    beside it, the loss before and after, and which limits linear theory calls stable at the trained form.
    """
    clouds = case.given("clouds", {"smoke": 8, "standard": 64, "full": 256}[case.tier])
    depth = case.given("depth", {"smoke": 8, "standard": 16, "full": 32}[case.tier])
    steps = case.given("steps", {"smoke": 20, "standard": 400, "full": 2000}[case.tier])
    n = case.given("n", 8)
    points = normalised(case.generator("clouds").normal(size=(clouds, n, 2)))
    start = 0.3 * case.generator("form").normal(size=(2, 2))
    found: dict[str, Any] = {"clouds": clouds, "depth": depth, "steps": steps}
    for name, loss in (("gather", gathered), ("two ends", at_two_ends)):
        form, losses, way = trained_form(jnp.asarray(points), jnp.asarray(start), depth, steps, loss)
        symmetric = make_symmetric(form)
        values = np.linalg.eigvalsh(symmetric)
        found[name] = {
            "eigenvalues": values.tolist(),
            "eigenvalues on the way": np.linalg.eigvalsh((way + way.swapaxes(1, 2)) / 2).tolist(),
            "antisymmetric to symmetric": float(np.linalg.norm(form - form.T) / np.linalg.norm(form + form.T)),
            "loss before": float(losses[0]),
            "loss after": float(losses[-1]),
            "stable by linear theory": [f"{kind} at e_{k + 1}" for kind, k in theory.stable_limits(values)],
        }
    return found


@which_forms_does_training_select.figure
def ways_of_training(findings: Findings, ax: Any) -> None:
    """Draw the two eigenvalues of the form along training for each task, and the border between one cluster and two."""
    rows = {name: row for name, row in findings.found.items() if isinstance(row, dict)}
    reach = 0.5
    for (name, row), colour, marker in zip(rows.items(), ACCENT, "os", strict=False):
        way = np.array([*row["eigenvalues on the way"], row["eigenvalues"]])
        stable = ", ".join(row["stable by linear theory"]) or "no limit"
        label = f"{name}: loss {row['loss before']:.2g} to {row['loss after']:.2g}; stable: {stable.replace('e_', 'e')}"
        ax.plot(*way.T, "-", color=colour, label=label)
        ax.plot(*way[-1], marker, ms=10, color=colour)
        ax.plot(*way[0], "x", ms=10, color=MUTED, zorder=3)
        reach = max(reach, 1.15 * np.abs(way).max())
    fine = np.linspace(-reach, 0, 200)
    label = r"$\lambda_2 = \log\cosh\lambda_1$: below it two opposite clusters have more energy"
    ax.plot(fine, np.logaddexp(fine, -fine) - np.log(2), "--", color=THEORY, label=label)
    ax.plot([], [], "x", color=MUTED, label="start of the training")
    ax.fill_between([-reach, reach], -reach, [-reach, reach], color=MUTED, alpha=0.15, lw=0)
    ax.axhline(0, color=MUTED, lw=0.8)
    ax.axvline(0, color=MUTED, lw=0.8)
    ax.set(xlabel=r"smaller eigenvalue $\lambda_1$", ylabel=r"larger eigenvalue $\lambda_2$")
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=9.5)


def gathered(start: Any, end: Any) -> Any:
    """Return how far the tokens are from one point, 0 to 1."""
    return 1 - jnp.sum(jnp.mean(end, axis=0) ** 2)


def at_two_ends(start: Any, end: Any) -> Any:
    """Return how far each token is from the end of the first axis that was nearer, 0 to 2."""
    return jnp.mean(1 - jnp.sign(start[:, 0]) * end[:, 0])


def trained_form(points: Any, start: Any, depth: int, steps: int, loss: Any) -> tuple[np.ndarray, ...]:
    """Return the form after gradient descent, the loss before each step, and the form before some twenty of them."""

    def through(form: Any, x: Any) -> Any:
        field = mf.SelfAttention(beta=1.0, query=form, value=form)
        end = mf.layers(mf.Tokens(mf.Sphere(2), x), field, depth=depth, step=0.25, keep="last").points[-1]
        return loss(x, end)

    def total(form: Any) -> Any:
        return jnp.mean(jax.vmap(lambda x: through(form, x))(points))

    def step(form: Any, _: None) -> tuple[Any, Any]:
        value, slope = jax.value_and_grad(total)(form)
        return form - 0.5 * slope, (value, form)

    form, (losses, forms) = jax.jit(lambda form: jax.lax.scan(step, form, None, length=steps))(start)
    some = np.linspace(0, steps - 1, min(steps, 21)).astype(int)
    return np.asarray(form), np.asarray(losses), np.asarray(forms)[some]
