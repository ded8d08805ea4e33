"""An open problem: how many limits rescaled tokens have outside the theorems, counted as clusters of their places."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.paths.style import ACCENT, MUTED, THEORY

__all__ = ["distinct", "limit_shapes_of_rescaled_tokens"]

#: what a study draws at each tier, and the dimension and number of tokens of the discrete runs in high dimension
DRAWS = {"smoke": 3, "standard": 12, "full": 60}
HIGH = {"smoke": (16, 32), "standard": (32, 64), "full": (128, 128)}
N, D = 16, 3
#: kinds of models in R^3
KINDS = ("two", "three", "complex", "form", "subspace", "heads", "swinging")
#: two places nearer than this are one
RESOLUTION = 0.02
#: when tokens are looked at for the last time, the share of that time after which they should stand still, and the
#: step of discrete depth
UNTIL, EARLIER, STEP = 20.0, 0.8, 0.05


class Heads(mf.Field):
    r"""Heads of one V side by side, $\frac1h \sum_h V \sum_j A^h_{ij}(z_j - z_i)$, their forms $B_h + \sin(t) S_h$."""

    heads: tuple[mf.RescaledAttention, ...]
    steady: tuple[Any, ...]
    swing: tuple[Any, ...]

    def output(self, x: Any, mu: Any, positions: Any = None) -> Any:
        """Return the mean over the heads."""
        return sum(head.output(x, mu, positions) for head in self.heads) / len(self.heads)

    def at(self, t: Any) -> Heads:
        """Return the heads at depth t."""
        queries = [(form + jnp.sin(t) * swing).T for form, swing in zip(self.steady, self.swing, strict=True)]
        moved = [
            eqx.tree_at(lambda head: head.query, head.at(t), query)
            for head, query in zip(self.heads, queries, strict=True)
        ]
        return Heads(tuple(moved), self.steady, self.swing)


def model(case: Case, kind: str, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return V, the forms of two heads and how they swing: equal heads are one head."""
    generator = case.generator(f"{kind} {draw}")
    forms, swing = np.broadcast_to(np.eye(D), (2, D, D)), np.zeros((2, D, D))
    if kind in ("form", "subspace"):
        forms = np.broadcast_to(generator.uniform(-1, 1, (D, D)), (2, D, D))
    elif kind == "heads":
        roots = generator.uniform(-1, 1, (2, D, D))
        forms = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(D)
    elif kind == "swinging":
        swing = np.broadcast_to(generator.uniform(-1, 1, (D, D)), (2, D, D))
    if kind in ("form", "heads", "swinging"):
        return np.eye(D), forms, swing
    columns = np.eye(D) + 0.5 * generator.uniform(-1, 1, (D, D))
    block = {
        "two": np.diag([1.0, 0.6, -0.4]),
        "three": np.diag([1.0, 0.6, 0.4]),
        "complex": np.array([[0.8, -1.0, 0.0], [1.0, 0.8, 0.0], [0.0, 0.0, 0.3]]),
        "subspace": np.diag([1.0, 1.0, -0.5]),
    }[kind]
    return columns @ block @ np.linalg.inv(columns), forms, swing


def distinct(places: np.ndarray) -> int:
    """Return the number of places, points `(n, k)`: a chain of near points is one, as in `mf.observe.clusters`."""
    # the norm of a difference is all that counts: up to D numbers are filled up to D, and share one program
    filled = np.pad(places, ((0, 0), (0, max(D - places.shape[1], 0))))
    tokens = mf.Tokens(mf.Euclidean(filled.shape[1]), filled)
    return int(mf.observe.clusters(tokens, delta=RESOLUTION**2 / 2).count)


def growing(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the positive eigenvalues and, as columns, the functionals whose values grow in step with them."""
    roots, rows = mf.observe.eigenfunctionals(value)
    kept = roots > 0
    return roots[kept], rows[kept].T


def followed(case: Case, kind: str, draw: int) -> dict[str, Any] | None:
    """Return how many limits a flow in R^3 has and how far its tokens still move; `None` where it broke off."""
    value, forms, swing = model(case, kind, draw)
    n, until = case.given("n", N), case.given("t", UNTIL)
    start = mf.Tokens(mf.Euclidean(D), case.generator(f"tokens {draw}").uniform(-1, 1, (n, D)))
    heads = tuple(mf.RescaledAttention(value=value, query=form.T, bounded=True) for form in forms)
    field = Heads(heads, tuple(map(jnp.asarray, forms)), tuple(map(jnp.asarray, swing)))
    solver = mf.Adaptive(rtol=1e-7, atol=1e-9, max_steps=5000)
    path = mf.flow(start, field, until=until, save=[EARLIER * until, until], solver=solver)
    if path.status != "reached":
        return None
    seen = np.asarray(path.points)
    if kind in ("two", "three", "subspace"):
        seen = seen @ growing(value)[1]
    return {"limits": distinct(seen[-1]), "moving": float(np.abs(seen[-1] - seen[0]).max())}


def stepped(case: Case, k: int, draw: int) -> dict[str, Any]:
    """Return the same of layers x + h A(x), in high dimension, with k growing eigenvalues of a symmetric V."""
    d, n = case.given("d, n of layers", HIGH[case.tier])
    until = case.given("t", UNTIL)
    case.require(f"layers have a dimension above {k}", d > k)
    generator = case.generator(f"layers {k} {draw}")
    basis = np.linalg.qr(generator.normal(size=(d, d)))[0]
    roots = np.concatenate([[1.0], generator.uniform(0.5, 1.0, k - 1), generator.uniform(-1.0, -0.1, d - k)])
    value = basis * roots @ basis.T
    x = generator.uniform(-0.5, 0.5, (n, d))
    seen = []
    for step in range(1, round(until / STEP) + 1):
        scores = x @ x.T
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        x = x + STEP * (weights / weights.sum(axis=1, keepdims=True)) @ x @ value
        if step in np.round(np.array([EARLIER * until, until]) / STEP):
            # a coordinate that a layer multiplies by 1 + h lambda, by how often it did
            seen.append(x @ basis[:, :k] * np.exp(-step * np.log1p(STEP * roots[:k])))
    return {"limits": distinct(seen[-1]), "moving": float(np.abs(seen[-1] - seen[0]).max())}


@exploration("2305.05465", "section 2, open cases", covers=["P5"])
def limit_shapes_of_rescaled_tokens(case: Case) -> dict[str, Any]:
    """Which limits have rescaled tokens outside the theorems: k growing directions, complex pairs, indefinite forms?

    Conjectured: with k eigenvalues of positive real part at most 3^k parallel subspaces. Counted are the distinct
    places (a chain of places nearer than 0.02 is one) at t = 20 of the growing coordinates of n = 16 tokens in R^3; all
    coordinates for a complex pair and for V = I. V = I comes with a form of U[-1, 1] entries, with two heads of
    positive forms, and with a form I + sin(t) S; `subspace` is the setting of theorem 5.1, V = 1 on a plane and -1/2
    beside it, with an indefinite form. In high dimension depth is discrete, x + 0.05 A(x), and V is symmetric with k
    growing eigenvalues. Given is also how far tokens still move from t = 16 on; flows that break off are left out and
    counted.
    """
    draws = case.given("draws", DRAWS[case.tier])
    found: dict[str, Any] = {"n": case.given("n", N), "t": case.given("t", UNTIL)}
    kinds = case.given("kinds", KINDS)
    case.require(f"kinds are some of {', '.join(KINDS)}", set(kinds) <= set(KINDS))
    for kind in kinds:
        runs = [followed(case, kind, draw) for draw in range(draws)]
        whole = [one for one in runs if one is not None]
        found |= counted(kind, whole) | {f"{kind}: broken off": len(runs) - len(whole)}
    for k in (1, 2, 3):
        found |= counted(f"layers, {k} growing", [stepped(case, k, draw) for draw in range(draws)])
    return found | {"conjectured for one, two, three growing directions": [3, 9, 27]}


def counted(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what was found of one kind of model."""
    return {f"{name}: {key}": [one[key] for one in runs] for key in ("limits", "moving")}


#: what the kinds are called in a picture, and how many directions grow where the conjecture speaks
SHOWN = {
    "two": ("two growing directions", 2),
    "three": ("three growing directions", 3),
    "complex": ("a complex pair and one more", 3),
    "layers, 1 growing": ("layers, one growing", 1),
    "layers, 2 growing": ("layers, two growing", 2),
    "layers, 3 growing": ("layers, three growing", 3),
    "form": ("$V = I$, any form", None),
    "heads": ("$V = I$, two heads", None),
    "swinging": (r"$V = I$, form $I + \sin(t)\,S$", None),
    "subspace": ("$V = I$ on a plane, any form", None),
}


@limit_shapes_of_rescaled_tokens.figure
def numbers_of_limits(findings: Findings, ax: Any) -> None:
    """Draw the number of limits in each draw of every kind, and the most that are conjectured."""
    found, rows = findings.found, [(kind, said) for kind, said in SHOWN.items() if f"{kind}: limits" in findings.found]
    for height, (kind, (_, growing_ones)) in enumerate(rows):
        for moves in (False, True):
            pairs = zip(found[f"{kind}: limits"], found[f"{kind}: moving"], strict=True)
            counts = [count for count, moving in pairs if (moving > RESOLUTION) == moves]
            lifts = np.linspace(-0.15, 0.15, len(counts)) if len(counts) > 1 else [0.0] * len(counts)
            ax.plot(
                counts, height + np.array(lifts), "o", ms=7, alpha=0.8, color=ACCENT[0], mfc="none" if moves else None
            )
        if growing_ones:
            ax.plot([3**growing_ones] * 2, [height - 0.35, height + 0.35], "--", color=THEORY)
    ax.axvline(found["n"], color=MUTED, lw=1, label=f"all of {found['n']} tokens apart")
    ax.plot([], [], "o", color=ACCENT[0], label=f"limits at t = {found['t']:g}, a dot for each draw")
    ax.plot([], [], "o", color=ACCENT[0], mfc="none", label=f"the same, but tokens still move by over {RESOLUTION}")
    ax.plot([], [], "--", color=THEORY, label=r"conjectured: at most $3^k$")
    ax.set(
        xscale="log",
        xlim=(0.8, 40),
        xlabel="number of limits",
        xticks=(1, 2, 3, 9, 27),
        xticklabels=["1", "2", "3", "9", "27"],
    )
    ax.minorticks_off()
    ax.set_yticks(range(len(rows)), [name for _, (name, _) in rows])
    ax.invert_yaxis()
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, fontsize=9)
