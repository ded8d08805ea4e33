"""How far a nonlinear Markov kernel can stretch: constants for any score and values, and what comes near them.

Scores and values are quadratic on [-1, 1], so that their constants are known exactly, and $W_1$ on the line is exact.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float

import measureflow as mf
from measureflow import theory
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.paths.style import ACCENT, THEORY

PAPER = "2007.02876"
#: atoms of a law
N = 5

output = eqx.filter_jit(lambda field, x, mu: field.output(x, mu))


class Kernels(NamedTuple):
    """Many kernels with the score `(p x + q) y + r y^2/2` and the value `s y + u y^2/2`, a row of (p, q, r, s, u) each,
    and two laws for each: atoms in [-1, 1], masses, and how far its atoms are moved for the second."""

    numbers: Float[np.ndarray, "k 5"]
    atoms: Float[np.ndarray, "k n"]
    masses: Float[np.ndarray, "k n"]
    moves: Float[np.ndarray, "k n"]


def drawn(rng: np.random.Generator, count: int, n: int) -> Kernels:
    """Draw scores from flat to a spread of 20, masses down to e^-12, and moves of all sizes."""
    numbers = rng.normal(size=(count, 5)) * np.exp(rng.uniform(-2.5, 1.0, (count, 1)))
    masses = np.exp(rng.uniform(-12.0, 0.0, (count, n)))
    atoms, moved = rng.uniform(-1.0, 1.0, (2, count, n))
    reach = np.exp(rng.uniform(-9.0, 0.0, (count, 1)))
    return inside(Kernels(numbers, atoms, masses, reach * (moved - atoms)))


def inside(kernels: Kernels) -> Kernels:
    """Return them with all atoms in [-1, 1] and masses that sum to 1."""
    atoms = np.clip(kernels.atoms, -1.0, 1.0)
    moves = np.clip(atoms + kernels.moves, -1.0, 1.0) - atoms
    masses = kernels.masses / kernels.masses.sum(axis=1, keepdims=True)
    return kernels._replace(atoms=atoms, moves=moves, masses=masses)


def reach(slope: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """Return the range of `slope y + bend y^2/2` over [-1, 1]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        top = np.where(np.abs(bend) > np.abs(slope), -slope / bend, 0.0)
    values = [slope * y + 0.5 * bend * y**2 for y in (-1.0, top, 1.0)]
    return np.max(values, axis=0) - np.min(values, axis=0)


def constants_of(numbers: np.ndarray) -> dict[str, Any]:
    """Return what the statement takes: ranges and Lipschitz constants, a row for each kernel."""
    p, q, r, s, u = np.moveaxis(np.asarray(numbers, float), -1, 0)
    # the range over the keys is convex in the query: largest at an end
    oscillation = np.maximum(reach(q + p, r), reach(q - p, r))
    score = (np.abs(p), np.abs(p) + np.abs(q) + np.abs(r))
    return {"oscillation": oscillation, "score": score, "value": np.abs(s) + np.abs(u), "diameter": reach(s, u)}


def kernel(numbers: np.ndarray, atoms: np.ndarray, masses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of attention of every atom, and the values of the atoms."""
    p, q, r, s, u = (column[:, None] for column in numbers.T)
    scores = (p[..., None] * atoms[:, :, None] + q[..., None]) * atoms[:, None] + 0.5 * (r * atoms**2)[:, None]
    return theory.gibbs_law(scores, masses[:, None]), s * atoms + 0.5 * u * atoms**2


def distance(first: np.ndarray, second: np.ndarray, masses: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return W_1 of many pairs of laws on the line: the integral of the difference of their distribution functions."""
    places = np.concatenate([first, second], axis=1)
    signed = np.concatenate([masses, -others], axis=1)
    order = np.argsort(places, axis=1)
    places, signed = (np.take_along_axis(part, order, axis=1) for part in (places, signed))
    return (np.abs(np.cumsum(signed, axis=1))[:, :-1] * np.diff(places, axis=1)).sum(axis=1)


def stretches(kernels: Kernels) -> tuple[np.ndarray, np.ndarray]:
    """Return by what the distance of the two laws grows, of means and of the laws that the kernel itself makes."""
    numbers, atoms, masses, moves = kernels
    before = distance(atoms, atoms + moves, masses, masses)
    (rows, values), (others, moved) = (kernel(numbers, x, masses) for x in (atoms, atoms + moves))
    mean, turned = ((part * value[:, None]).sum(axis=-1) for part, value in ((rows, values), (others, moved)))
    whole, changed = ((masses[:, :, None] * part).sum(axis=1) for part in (rows, others))
    far = before > 1e-7  # below it the distances are rounding
    over = np.where(far, before, np.inf)
    return distance(mean, turned, masses, masses) / over, distance(values, moved, whole, changed) / over


def raised(kernels: Kernels, rng: np.random.Generator, steps: int) -> Kernels:
    """Return kernels and laws that a random search makes stretch more of what their constants allow."""

    def part(one: Kernels) -> np.ndarray:
        bounds = constants_of(one.numbers)
        whole = 0.5 * bounds["score"][0] * bounds["diameter"]
        whole += np.exp(bounds["oscillation"]) * (bounds["value"] + bounds["diameter"] * bounds["score"][1])
        return np.maximum(*stretches(one)) / whole

    best, size = part(kernels), np.full((len(kernels.atoms), 1), 0.5)
    for _ in range(steps):
        noise = [size * rng.normal(size=one.shape) for one in kernels]
        other = inside(
            Kernels(
                kernels.numbers + noise[0] * np.abs(kernels.numbers),
                kernels.atoms + noise[1],
                kernels.masses * np.exp(3.0 * noise[2]),
                kernels.moves * (1.0 + noise[3]),
            )
        )
        new = part(other)
        better = new > best
        kernels = Kernels(*(np.where(better[:, None], two, one) for one, two in zip(kernels, other, strict=True)))
        best, size = np.where(better, new, best), np.where(better[:, None], 1.2, 0.97) * size
        size = np.clip(size, 1e-3, 1.0)
    return kernels


def largest(seed: int, count: int, chosen: int, steps: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return random kernels and raised ones: their numbers, and both stretches."""
    rng = np.random.default_rng(seed)
    parts = [drawn(rng, count, n), raised(drawn(rng, chosen, n), rng, steps)]
    kernels = Kernels(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))
    return kernels.numbers, *stretches(kernels)


def moved(form: float, value: float, queries: np.ndarray, mass: float, shift: float) -> np.ndarray:
    """Return what the library's attention with the score `form x y` and the value `value y` puts out at queries, for a
    mass at 1 - shift and the rest at -1."""
    mu = mf.Tokens(mf.Euclidean(1), np.array([[-1.0], [1.0 - shift]]), np.array([1.0 - mass, mass]))
    return np.asarray(output(mf.SelfAttention(1.0, query=form, value=value), queries[:, None], mu))[:, 0]


@claim(
    PAPER,
    "Lipschitz constants of the kernel",
    covers=["4.2"],
    status="derived",
    states=theory.lipschitz_of_markov_kernel,
    id=f"{PAPER}/constants",
)
def a_markov_kernel_that_depends_on_its_measure_has_these_constants(case: Case) -> None:
    """Attention with any score and values on a compact set is l_x D_v/2-Lipschitz in the query, e^omega (L_v + D_v l_y)
    in the measure (W_1), and the map of measures has the sum, whether a row is replaced by its mean or not. The first
    is attained, the second in the limit of a small mass where the score is largest, the sum where a query does not
    count: a random search over kernels and laws finds it."""
    form, value, small = case.draw("form", 0.3, 1.0), case.draw("value", 0.5, 2.0), 1e-5
    numbers = np.array([form, 0.0, 0.0, value, 0.0])
    stated = case.predict(**{name: as_numbers(one) for name, one in constants_of(numbers).items()})
    put = case.measure(moved, form, value, small * np.array([1.0, -1.0]), 0.5, 0.0)
    because, within = "the third derivative by the query, at 1e-5", 1e-8 * max(1.0, form) ** 3 * max(1.0, value / 2.0)
    case.compare((put[0] - put[1]) / (2 * small), stated.query, within=within, because=because, name="in the query")
    there, here = (case.measure(moved, form, value, np.array([1.0, -1.0]), small, shift) for shift in (0.0, small))
    because = "the mass e^omega 1e-5, and a shift of 1e-5"
    slope = (there[0] - here[0]) / small**2
    within = max(1e-3, 10.0 * small * float(np.exp(2.0 * form)))
    case.compare(slope, stated.measure, within=within, relative=True, because=because, name="in the measure")
    # random kernels, those raised by a random search, and by how many steps: 100,000 and 1,000 in six draws
    sizes = (1000, 32, 300) if case.tier == "smoke" else (17_000, 170, 600)
    rows, *ratios = case.measure(largest, case.seed, *sizes, case.given("n", N))
    bounds = constants_of(rows)
    keys = zip(*bounds["score"], strict=True)
    every = zip(bounds["oscillation"], keys, bounds["value"], bounds["diameter"], strict=True)
    whole = np.array([sum(case.predict(oscillation=a, score=b, value=c, diameter=d)) for a, b, c, d in every])
    for ratio, name in zip(ratios, ("means", "kernel"), strict=True):
        because = "rounding beside distances of 1e-7"
        over = {"oscillation of the score": bounds["oscillation"]}
        case.at_most(ratio, whole, within=1e-6 * (ratio + 1e-9), because=because, name=f"stretch of {name}", over=over)
        part = float((ratio / whole).max())
        case.at_least(part, 0.9, within=0.01, because="a random search of some hundred steps", name=f"{name}, attained")
        case.instance[f"largest part of the constant, {name}"] = part


def as_numbers(one: Any) -> Any:
    """Return plain numbers."""
    return tuple(float(part) for part in one) if isinstance(one, tuple) else float(one)


constants = a_markov_kernel_that_depends_on_its_measure_has_these_constants


@constants.figure
def parts_of_the_constant(case: Case, ax: Any) -> None:
    """Draw what part of the constant every kernel stretches."""
    curves = [curve for curve in case.curves if curve.name.startswith("stretch")]
    for curve, colour, mark in zip(curves, ACCENT, "os", strict=False):
        part = np.maximum(curve.measured / curve.stated, 1e-6)
        ax.plot(np.maximum(curve.places, 1e-4), part, mark, color=colour, ms=3, alpha=0.6, label=curve.name)
    ax.axhline(1.0, color=THEORY, ls="--", lw=1.3, label="stated: at most 1, and attained")
    ax.set(xscale="log", yscale="log", xlabel=r"oscillation $\omega$ of the score", ylabel="part of the constant")
    ax.set_ylim(1e-6, 30.0)
    ax.set_title(f"random kernels and raised ones, {case.instance['n']} atoms", fontsize=11, loc="left")
    ax.legend(fontsize=9, loc="lower left")


@constants.mutation
def difference_of_gibbs_laws_twice(*, oscillation: float, score: Any, value: float, diameter: float) -> Any:
    """l_x D_v in the query: it holds and is not sharp."""
    found = theory.lipschitz_of_markov_kernel(oscillation=oscillation, score=score, value=value, diameter=diameter)
    return found._replace(query=2.0 * found.query)


@constants.mutation
def densities_taken_for_one(*, oscillation: float, score: Any, value: float, diameter: float) -> Any:
    """e^omega is lost."""
    return theory.lipschitz_of_markov_kernel(oscillation=0.0, score=score, value=value, diameter=diameter)


@constants.mutation
def weights_held(*, oscillation: float, score: Any, value: float, diameter: float) -> Any:
    """The weights do not react to a token that moves: e^omega L_v."""
    return theory.lipschitz_of_markov_kernel(
        oscillation=oscillation, score=(score[0], 0.0), value=value, diameter=diameter
    )


@constants.mutation
def half_the_range(*, oscillation: float, score: Any, value: float, diameter: float) -> Any:
    """The density is taken between -omega/2 and omega/2 about its mean: e^(omega/2)."""
    return theory.lipschitz_of_markov_kernel(oscillation=0.5 * oscillation, score=score, value=value, diameter=diameter)
