"""Training a deep linear residual net: what gradient flow conserves, and what becomes constant in depth."""

from __future__ import annotations

from typing import Any

import numpy as np

from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, MUTED, THEORY

PAPER = "2205.14612"
D = 2
#: between them the least singular value falls by a factor of 4, on the clock 2 r/N = 1/5 of both depths
STEPS = (500, 2000)


def invariant(target: np.ndarray, depth: int, rate: float) -> float:
    """Return how far training moves what gradient flow conserves."""
    net = theory.train_linear_net(target, depth, rate=rate, tolerance=1e-6)
    return float(np.abs(theory.conserved_matrices(net.weights)).max())


def trained(target: np.ndarray, depth: int, rate: float) -> np.ndarray:
    """Return the weights of a net that is trained to a target."""
    return theory.train_linear_net(target, depth, rate=rate, tolerance=1e-6).weights


def in_depth(weights: np.ndarray) -> tuple[float, float, float]:
    """Return the spread in depth of the eigenvalues of S and of S itself, and the error of dS/ds = [Omega, S]."""
    depth = len(weights)
    spread = np.ptp(theory.symmetric_eigenvalues_along_depth(weights), axis=0).max()
    turned = np.swapaxes(weights, 1, 2)
    symmetric, rest = 0.5 * (weights + turned), 0.5 * (weights - turned)
    slope = (symmetric[2:] - symmetric[:-2]) * depth / 2.0
    commutator = (rest @ symmetric - symmetric @ rest)[1:-1]
    off = np.abs(slope - commutator).max() / max(np.abs(commutator).max(), 1e-12)
    return float(spread), float(np.ptp(symmetric, axis=0).max()), float(off)


def targets(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Draw a matrix that is not symmetric, with a rotation in it, and a symmetric positive one."""
    stretch, turn = case.draw("stretch", 1.3, 1.8), case.draw("turn", 0.5, 0.9)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return rotation @ np.diag([stretch, 0.8]), np.diag([stretch, 0.6])


@claim(
    PAPER,
    "linear case, implicit smoothness",
    covers=["T20", "3.2"],
    status="derived",
    states={"order": lambda: 1.0, "depth": lambda: 1.0, "turn": lambda off: off},
)
def trained_linear_nets_conserve_and_are_isospectral_in_depth(case: Case) -> None:
    """From zero weights gradient flow conserves (I+W_{k+1}/N)^T(I+W_{k+1}/N) - (I+W_k/N)(I+W_k/N)^T = 0, to first order
    in the rate; the eigenvalues of the symmetric part are constant in depth to order 1/N, where S itself is not, and
    dS/ds = [Omega, S]. A symmetric positive target makes all layers equal."""
    skew, positive = targets(case)
    moved = [case.measure(invariant, skew, 24, rate) for rate in (1.0, 0.25)]
    order = float(np.log(moved[0] / moved[1]) / np.log(4.0))
    because = "second order in the rate, a few percent at the larger one"
    case.compare(order, case.statement.order(), within=0.09, because=because, name="invariant, in the rate")
    case.at_most(moved[1], 1e-3, within=1e-5, because="of order of the rate r/N^2 times the loss", name="invariant")
    # three times as many layers, at a rate that has the same clock
    depth = case.given("depth", 16)
    few, many = (in_depth(case.measure(trained, skew, one, 12.0 / one)) for one in (depth, 3 * depth))
    slope = float(np.log(few[0] / many[0]) / np.log(3.0))
    case.at_least(slope, case.statement.depth(), within=0.14, because="at least first order in 1/N", name="isospectral")
    case.at_least(many[1], 20.0 * many[0], within=1e-3 * many[1], because="S itself turns", name="S turns")
    turning = case.statement.turn(many[2])
    case.compare(
        turning, 0.0, within=0.1, because="differences over two layers of N", name="error of dS/ds = [Omega, S]"
    )
    equal = in_depth(case.measure(trained, positive, depth, 0.5))
    case.compare(equal[1], 0.0, within=1e-10, because="rounding of some hundred steps", name="equal layers")


@trained_linear_nets_conserve_and_are_isospectral_in_depth.figure
def symmetric_part_along_depth(case: Case, ax: Any) -> None:
    """Draw entries and eigenvalues of the symmetric part of the weights along the trained net."""
    skew, depth = targets(case)[0], 3 * case.instance["depth"]
    weights = case.measure(trained, skew, depth, 12.0 / depth)
    symmetric, places = 0.5 * (weights + np.swapaxes(weights, 1, 2)), (np.arange(depth) + 0.5) / depth
    for (i, j), colour in zip(((0, 0), (1, 1), (0, 1)), ACCENT, strict=True):
        ax.plot(places, symmetric[:, i, j], color=colour, lw=1.4, label=f"$S_{{{i + 1}{j + 1}}}$")
    roots = theory.symmetric_eigenvalues_along_depth(weights)
    for k in range(D):
        ax.plot(places, roots[:, k], "o", color=MUTED, ms=4, label="eigenvalues of S" if k == 0 else None)
        ax.axhline(roots[:, k].mean(), color=THEORY, ls="--", lw=1.3, label="constant, as stated" if k == 0 else None)
    ax.set(xlabel="depth $s = k/N$", ylabel="symmetric part $S(s)$ of the weights")
    ax.set_ylim(top=ax.get_ylim()[1] + 0.35 * np.ptp(ax.get_ylim()))
    about = (depth, case.instance["stretch"], case.instance["turn"])
    ax.set_title("N = {}, stretch {:.3g}, turn {:.3g}".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=8.5, ncols=3, loc="upper center")


@trained_linear_nets_conserve_and_are_isospectral_in_depth.mutation("order")
def conserved_exactly() -> float:
    """Gradient descent conserves to second order in the rate."""
    return 2.0


@trained_linear_nets_conserve_and_are_isospectral_in_depth.mutation("turn")
def commutator_reversed(off: float) -> float:
    """dS/ds = [S, Omega]."""
    return abs(2.0 - off)


@trained_linear_nets_conserve_and_are_isospectral_in_depth.mutation("depth")
def exact_at_every_depth() -> Any:
    """The eigenvalues differ by O(1/N^3): slope 3."""
    return 3.0


def published_target() -> np.ndarray:
    """Return the target of the published figure: I + Gaussian by NumPy's old generator from the seed 6."""
    return np.eye(D) + np.random.RandomState(6).normal(size=(D, D))


def reversing(case: Case) -> np.ndarray:
    """Draw a target with a negative determinant: a rotation of diag(stretch, -least)."""
    stretch, least = case.draw("stretch", 1.2, 1.8), case.draw("least", 0.5, 0.9)
    turns = [case.draw(f"turn {side}", -0.6, 0.6) for side in range(2)]
    left, right = (np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in turns)
    return left @ np.diag([stretch, -least]) @ right


def plateau(target: np.ndarray, depth: int, rate: float, steps: tuple[int, ...]) -> np.ndarray:
    """Return loss, least singular value and determinant of the product at some steps of training."""
    net = theory.train_linear_net(target, depth, rate=rate, most=steps[-1], keep=steps)
    found = []
    for weights in net.history:
        product = np.linalg.multi_dot([*(np.eye(D) + weights[::-1] / depth), np.eye(D)])
        found.append(
            [((product - target) ** 2).sum(), np.linalg.svd(product, compute_uv=False)[-1], np.linalg.det(product)]
        )
    return np.array(found)


def pushed_out(start: float, steps: float, *, least: float, depth: int, rate: float) -> float:
    """Return the least singular value after so many steps, that of the target being `least` and reversed."""
    from scipy.integrate import solve_ivp  # imported when used: it is slow to import

    speed = 2.0 * rate / depth
    found = solve_ivp(lambda _, s: -speed * s ** (2.0 - 2.0 / depth) * (s + least), (0.0, steps), [start], rtol=1e-9)
    return float(found.y[0, -1])


@claim(
    PAPER,
    "linear case, a target that reverses orientation",
    covers=["3.3"],
    status="derived",
    states={"least": theory.least_loss_of_linear_net, "pushed": pushed_out},
    id=f"{PAPER}/determinant",
)
def linear_nets_from_zero_cannot_reverse_orientation(case: Case) -> None:
    """From weights of zero the determinant stays positive: for det B < 0, as for the published draw (seed 6), training
    never reaches the loss 1e-5 but comes down to sigma_min(B)^2, algebraically, as s' = -(2/N) s^(2-2/N) (s +
    sigma_min) says."""
    target, depth, rate = reversed_target(case)
    case.require("the target reverses orientation", np.linalg.det(target) < 0)
    least = float(np.linalg.svd(target, compute_uv=False)[-1])
    (_, first, _), (loss, last, determinant) = case.measure(plateau, target, depth, rate, STEPS)
    case.at_least(determinant, 0.0, within=1e-12, because="rounding", name="determinant")
    stated = case.statement.pushed(float(first), STEPS[1] - STEPS[0], least=least, depth=depth, rate=rate)
    because = "gradient descent for gradient flow: of relative order of the singular value itself"
    # relative to what was measured: a decay that is stated too fast may come to 0, and a tolerance may not
    case.compare(last, stated, within=0.03 * last, because=because, name="least singular value")
    excess = last**2 + 2.0 * least * last
    because = "the other singular value has come to its own, exponentially"
    case.compare(loss - case.statement.least(target), excess, within=1e-4, because=because, name="loss above the least")


def reversed_target(case: Case) -> tuple[np.ndarray, int, float]:
    """Draw or take a target that reverses orientation, and a depth, with the rate of the common clock."""
    drawn = case.choose("target", ["drawn", "published"]) == "drawn"
    depth = case.given("depth", 20 if case.tier == "smoke" else 100)
    return reversing(case) if drawn else published_target(), depth, depth / 10


reversal = linear_nets_from_zero_cannot_reverse_orientation


@reversal.figure
def loss_to_its_plateau(case: Case, ax: Any) -> None:
    """Draw the loss in training, its plateau, and the singular value that is pushed to zero."""
    (target, depth, rate), places = reversed_target(case), (20, 50, 100, 200, STEPS[0], 1000, STEPS[1])
    loss, size, _ = case.measure(plateau, target, depth, rate, places).T
    least = float(np.linalg.svd(target, compute_uv=False)[-1])
    ax.plot(places, loss, "o", color=ACCENT[0], ms=8, label="loss")
    ax.axhline(case.statement.least(target), color=THEORY, ls="--", lw=1.3, label=r"stated plateau $\sigma_{\min}^2$")
    ax.plot(places, size, "s", color=ACCENT[1], ms=7, label="least singular value $s$")
    line, about = np.linspace(*STEPS, 40), {"least": least, "depth": depth, "rate": rate}
    at = float(size[places.index(STEPS[0])])
    law = [case.statement.pushed(at, float(step - STEPS[0]), **about) if step > STEPS[0] else at for step in line]
    ax.plot(line, law, "--", color=THEORY, lw=1.3, label="stated decay, from step 500")
    ax.set(xscale="log", yscale="log", xlabel="steps of training", ylabel="loss, singular value")
    ax.set_title(f"{case.instance['target']} target, N = {depth}, rate {rate:g}", fontsize=11, loc="left")
    ax.legend(fontsize=9)


@reversal.mutation("least")
def every_target_is_reached(target: np.ndarray) -> float:
    """The loss goes to zero."""
    return 0.0


@reversal.mutation("least")
def largest_singular_value(target: np.ndarray) -> float:
    """The other singular value is given up."""
    return float(np.linalg.norm(target, 2) ** 2)


@reversal.mutation("least")
def half_of_the_way(target: np.ndarray) -> float:
    """The determinant: its square root is the loss of both values shared."""
    return float(abs(np.linalg.det(target)))


@reversal.mutation("pushed")
def at_a_rate(start: float, steps: float, *, least: float, depth: int, rate: float) -> float:
    """It decays exponentially, as for one layer."""
    return float(start * np.exp(-2.0 * rate / depth * least * steps))


@reversal.mutation("pushed")
def depth_left_out(start: float, steps: float, *, least: float, depth: int, rate: float) -> float:
    """The rate is not divided by the number of layers."""
    return pushed_out(start, steps, least=least, depth=depth, rate=rate * depth / 2)
