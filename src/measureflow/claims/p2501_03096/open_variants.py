"""Open questions about what survives when the model changes: other norms, perceptrons, masks, heads, and training."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.exploration import exploration
from measureflow.claims.instances import normalised, velocity

PAPER = "2501.03096"


@exploration(PAPER, "other norms, perceptrons, noise", covers=["Q5"], id=f"{PAPER}/Q5")
def which_limits_survive_other_norms(case: Case) -> dict[str, Any]:
    """Do limits of the post-norm flow of a form survive another place of the norm, a perceptron, or noise?

    Known: under a norm only the speeds of the directions change, so that limits of the whole cloud stay and rates do
    not; with a perceptron or noise nothing is known. Attraction by D with eigenvalues 1, 0.3, -0.8, under which one
    cluster at e_1 is stable. Reported for each variant: the mean |<x, e_1>| and the length of the mean at the end.
    """
    n, until = (10, 30.0) if case.tier == "smoke" else (64, 300.0)
    points = normalised(case.generator("tokens").normal(size=(n, 3)))
    field = mf.gradient_attention(np.diag([1.0, 0.3, -0.8]))
    inner, outer = case.generator("perceptron").normal(size=(2, 3, 3)) / np.sqrt(3)
    on_sphere, free = mf.Tokens(mf.Sphere(3), points), mf.Tokens(mf.Euclidean(3), points)
    variants: dict[str, tuple[mf.Tokens, Any, dict[str, Any]]] = {
        "post-norm": (on_sphere, field, {}),
        "pre-norm": (free, field, {"normalisation": mf.PreLN()}),
        "peri-norm": (free, field, {"normalisation": mf.PeriLN()}),
        "noise 0.02": (on_sphere, field, {"noise": 0.02, "seed": case.seed % 2**31}),
    }
    if case.tier == "smoke":
        variants = {name: variants[name] for name in ("post-norm", "pre-norm")}
    for strength in (0.1,) if case.tier == "smoke" else (0.03, 0.1, 0.3, 1.0):
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


@exploration(PAPER, "masks and heads", covers=["Q7"], id=f"{PAPER}/Q7")
def is_there_a_metric_for_masks_and_heads(case: Case) -> dict[str, Any]:
    """Is masked or multi-head attention a gradient flow in any metric that weighs tokens one by one?

    Softmax attention with V = ±D is one for weights Z_i(X) that depend on all tokens. At one configuration a metric
    with weights m_i (1 + <g_i, .>) would make the Jacobian of (m_i v_i) symmetric up to the rank-one terms v_i g_i^T:
    reported is the least asymmetry over all m >= 0.2 of mean 1 and all g, relative to the Jacobian; 0 for what is a
    gradient flow. A value above 0 rules such a metric out, 0 does not prove one. (In d = 5: up to d = 3 the g alone
    can make any Jacobian symmetric.)
    """
    n, d = 4 if case.tier == "smoke" else 12, 5
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
    found: dict[str, Any] = {"tokens": n}
    for name, field in fields.items():
        jacobian = np.asarray(mf.observe.jacobian(tokens, field=field))
        speeds = np.einsum("nd,ndk->nk", np.asarray(velocity(field, tokens)), frames)
        found[name] = least_asymmetry(jacobian, speeds)
    return found


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
    clouds, depth, steps = {"smoke": (8, 8, 20), "standard": (64, 16, 400)}.get(case.tier, (256, 32, 2000))
    points = normalised(case.generator("clouds").normal(size=(clouds, 8, 2)))
    start = 0.3 * case.generator("form").normal(size=(2, 2))
    found: dict[str, Any] = {"clouds": clouds, "depth": depth, "steps": steps}
    for name, loss in (("gather", gathered), ("two ends", at_two_ends)):
        form, losses = trained_form(jnp.asarray(points), jnp.asarray(start), depth, steps, loss)
        symmetric = make_symmetric(form)
        values = np.linalg.eigvalsh(symmetric)
        found[name] = {
            "eigenvalues": values.tolist(),
            "antisymmetric to symmetric": float(np.linalg.norm(form - form.T) / np.linalg.norm(form + form.T)),
            "loss before": float(losses[0]),
            "loss after": float(losses[-1]),
            "stable by linear theory": [f"{kind} at e_{k + 1}" for kind, k in theory.stable_limits(values)],
        }
    return found


def gathered(start: Any, end: Any) -> Any:
    """Return how far the tokens are from one point, 0 to 1."""
    return 1 - jnp.sum(jnp.mean(end, axis=0) ** 2)


def at_two_ends(start: Any, end: Any) -> Any:
    """Return how far each token is from the end of the first axis that was nearer, 0 to 2."""
    return jnp.mean(1 - jnp.sign(start[:, 0]) * end[:, 0])


def trained_form(points: Any, start: Any, depth: int, steps: int, loss: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the form after gradient descent, and the loss before each step."""

    def through(form: Any, x: Any) -> Any:
        field = mf.SelfAttention(beta=1.0, query=form, value=form)
        end = mf.layers(mf.Tokens(mf.Sphere(2), x), field, depth=depth, step=0.25, keep="last").points[-1]
        return loss(x, end)

    def total(form: Any) -> Any:
        return jnp.mean(jax.vmap(lambda x: through(form, x))(points))

    def step(form: Any, _: None) -> tuple[Any, Any]:
        value, slope = jax.value_and_grad(total)(form)
        return form - 0.5 * slope, value

    form, losses = jax.jit(lambda form: jax.lax.scan(step, form, None, length=steps))(start)
    return np.asarray(form), np.asarray(losses)
