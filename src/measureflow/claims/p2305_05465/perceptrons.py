"""Rescaled tokens with a perceptron after attention: coordinates that only grow, and which hyperplanes are left."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.exploration import Findings, exploration, replica
from measureflow.claims.instances import follow
from measureflow.claims.p2305_05465.hulls import TOKENS, D, box, form
from measureflow.claims.p2305_05465.hyperplanes import value_of
from measureflow.paths.style import ACCENT, MUTED, THEORY

#: shares of max(y, 0), y and tanh(y) in an activation: one program for all
RELU, IDENTITY, TANH = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


class Bent(mf.Field):
    r"""Attention seen through a perceptron, $\dot z_i = W \sigma\bigl(V \sum_j A_{ij} (z_j - z_i)\bigr)$."""

    attention: mf.RescaledAttention
    outer: Any
    shares: Any

    def output(self, x: Any, mu: Any, positions: Any = None) -> Any:
        """Return what the perceptron makes of attention."""
        y = self.attention.output(x, mu)
        bent = self.shares[0] * jnp.maximum(y, 0.0) + self.shares[1] * y + self.shares[2] * jnp.tanh(y)
        return bent @ self.outer.T

    def at(self, t: Any) -> Bent:
        """Return the field at depth t."""
        return Bent(self.attention.at(t), self.outer, self.shares)


def bent(value: np.ndarray, b: np.ndarray, shares: Any, outer: Any = None) -> Bent:
    """Return the field; W = I unless it is given."""
    return Bent(
        mf.RescaledAttention(value=value, query=b.T),
        jnp.asarray(np.eye(D) if outer is None else outer),
        jnp.asarray(shares),
    )


@claim(
    "2305.05465",
    "Theorem 4.1 with a perceptron",
    covers=["T4.1"],
    status="derived",
    states={"activation": lambda: RELU, "extreme": lambda z: z.max(axis=1)},
    id="2305.05465/perceptron",
)
def coordinates_grow_up_to_the_first_maximum(case: Case) -> None:
    """With V > 0 diagonal, W = I and sigma = ReLU no coordinate of a token falls, and max_j z_j of each stays for ever.

    Derived here: coordinate k of V(z_j - z_i) has the sign of z_jk - z_ik, so whoever is largest is pulled down, which
    ReLU forbids. Tokens that look at low ones stay where they are: there may be more than three hyperplanes.
    """
    roots = np.array([case.draw("first", 1.0, 1.3), case.draw("second", 0.2, 0.5), case.draw("third", 0.1, 0.4)])
    n, until = case.given("n", TOKENS), case.given("t", 4.0)
    case.require("there are tokens", n >= 1)
    case.require("V is positive", bool((roots > 0).all()))
    times, z = behind_a_perceptron(case, roots, n, until)
    because = "rtol 1e-8 a step, of tokens of size 1, where ReLU bends"
    least, over = np.diff(z, axis=0).min(axis=(1, 2)), {"t": times[1:]}
    case.at_least(least, 0.0, within=1e-6, because=because, name="growth of a coordinate", over=over)
    extreme = case.statement.extreme(z)
    name, over = "largest token of each coordinate", {"t": times}
    case.compare(extreme.T, extreme[:1].T, within=1e-6, because=because, name=name, over=over)


def behind_a_perceptron(case: Case, roots: np.ndarray, n: int, until: float) -> tuple[np.ndarray, np.ndarray]:
    """Return five times, and the tokens at these under the stated activation."""
    times = np.linspace(0.0, until, 5)
    field = bent(np.diag(roots), form(case, definite=True), case.statement.activation())
    return times, follow(case, box(case, n=n, paired=True), field, times, rtol=1e-8)


@coordinates_grow_up_to_the_first_maximum.figure
def first_coordinates(case: Case, ax: Any) -> None:
    """Draw the first coordinate of each token over time, and the largest, which stays."""
    roots = np.array([case.instance[name] for name in ("first", "second", "third")])
    n, until = case.instance["n"], case.instance["t"]
    times, z = behind_a_perceptron(case, roots, n, until)
    ax.plot(times, z[..., 0], "o-", color=ACCENT[0], ms=4, lw=1.2)
    ax.plot([], [], "o-", color=ACCENT[0], ms=4, lw=1.2, label="tokens")
    ax.axhline(case.statement.extreme(z)[0, 0], ls="--", color=THEORY, label="first maximum, for ever")
    ax.set(xlabel="time $t$", ylabel="first coordinate", title=rf"ReLU, $W=I$, $V_{{11}}={roots[0]:.2f}$, $n={n}$")
    ax.legend()


@coordinates_grow_up_to_the_first_maximum.mutation("activation")
def no_perceptron() -> Any:
    """The activation is the identity: hulls shrink on both sides."""
    return IDENTITY


@coordinates_grow_up_to_the_first_maximum.mutation("activation")
def activation_of_both_signs() -> Any:
    """tanh stands in the place of ReLU."""
    return TANH


@coordinates_grow_up_to_the_first_maximum.mutation("extreme")
def smallest_stay(z: np.ndarray) -> np.ndarray:
    """The smallest coordinates stay, in place of the largest."""
    return z.min(axis=1)


@exploration("2305.05465", "section 8, with a perceptron", covers=["P5"], id="2305.05465/P5-perceptron")
def how_many_hyperplanes_are_left_behind_a_perceptron(case: Case) -> dict[str, Any]:
    """Do at most three hyperplanes survive a perceptron after attention, z' = W sigma(V sum_j A_ij (z_j - z_i))?

    Conjectured from pictures: three for sigma = ReLU and W = I; tokens seem to collapse to 0 for tanh or a random W.
    The study takes the instances of theorem 4.1 and gives, for each perceptron, the largest number of levels of
    phi_1*(z) among the draws (apart by 1 % of their first range), how fast they still move, and how the tokens' size
    changed. Where a token's speed grows without bound the flow breaks off: such draws are counted and left out.
    """
    draws = case.given("draws", {"smoke": 2, "standard": 20, "full": 200}[case.tier])
    n, until = case.given("n", TOKENS), case.given("t", 8.0)
    solver = mf.Adaptive(rtol=1e-7, atol=1e-9, max_steps=1500)
    kinds: dict[str, Any] = {"ReLU, W = I": (RELU, False), "tanh, W = I": (TANH, False), "ReLU, random W": (RELU, True)}
    found: dict[str, Any] = {"draws": draws, "n": n, "t": until}
    for name, (shares, random) in kinds.items():
        levels, moving, sizes, broken = [], [], [], 0
        for k in range(draws):
            one = replica(case, k)
            roots = np.array([one.draw("first", 1.0, 1.3), one.draw("second", 0.2, 0.5), -one.draw("third", 0.2, 0.4)])
            value, columns = value_of(one, roots)
            own = np.linalg.inv(columns)[0]
            b = 2.0 * np.outer(own, own) + 0.4 * form(one, definite=False)
            outer = one.generator("outer").normal(size=(D, D)) / np.sqrt(D) if random else None
            field = bent(value, b, shares, outer)
            start = box(one, n=n, paired=True)
            path = mf.flow(start, field, until=until, save=[0.0, 7 / 8 * until, until], solver=solver)
            points = np.asarray(path.points)
            if len(points) < 3:
                broken += 1
                continue
            heights = points @ own
            width = np.ptp(heights[0])
            levels.append(len(mf.observe.levels(heights[-1], within=1e-2 * width)))
            moving.append(float(np.abs(heights[2] - heights[1]).max() / width) * 8 / until)
            sizes.append(float(np.abs(points[-1]).max() / np.abs(points[0]).max()))
        found[f"{name}: levels"] = levels
        found[f"{name}: most levels"] = max(levels, default=0)
        found[f"{name}: still moving, per time"] = max(moving, default=np.nan)
        found[f"{name}: size at t = {until:g} over the first"] = float(np.median(sizes)) if sizes else np.nan
        found[f"{name}: broken off"] = broken
    return found


@how_many_hyperplanes_are_left_behind_a_perceptron.figure
def levels_of_perceptrons(findings: Findings, ax: Any) -> None:
    """Draw the number of levels in every draw, what is conjectured, and how the tokens' size changed."""
    found = findings.found
    names = [name.removesuffix(": levels") for name in found if name.endswith(": levels")]
    most = max(found[f"{name}: most levels"] for name in names)
    for height, name in enumerate(names):
        levels = found[f"{name}: levels"]
        ax.plot(levels, height + np.linspace(-0.12, 0.12, len(levels)), "o", color=ACCENT[0], alpha=0.8)
        size, broken = found[f"{name}: size at t = {found['t']:g} over the first"], found[f"{name}: broken off"]
        said = [f"size times {size:.2g}", f"moves by {found[f'{name}: still moving, per time']:.1g} per time"]
        said = said * bool(levels) + [f"{broken} broken off"] * bool(broken)
        ax.annotate(", ".join(said), (0.7, height + 0.25), color=MUTED, fontsize=9.5)
    ax.plot([], [], "o", color=ACCENT[0], label=f"levels at t = {found['t']:g}, a dot for each draw")
    ax.axvline(3, ls="--", color=THEORY, label="conjectured for ReLU, $W = I$: at most three")
    ax.set(xlabel=r"levels of $\varphi_1^*(z)$", xlim=(0.5, max(8, most) + 0.5), ylim=(-0.5, len(names) - 0.4))
    ax.set_yticks(range(len(names)), names)
    ax.legend(title=f"n = {found['n']} tokens", loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=2)
