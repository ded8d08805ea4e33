"""Families of stationary measures, the same under SA and USA, and how everything turns with the eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.claim import claim
from measureflow.claims.instances import N as COUNT
from measureflow.claims.instances import cloud, normalised, speeds
from measureflow.paths.style import ACCENT, THEORY

PAPER = "2501.03096"
#: tokens of every instance, at least; those that a family does not need have no mass
N = 12

Family = tuple[np.ndarray, np.ndarray]


def null_direction(mu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random x with sum_k mu_k x_k^2 = 0, which is no eigenvector."""
    split = rng.uniform(0.2, 0.8)
    squares = np.array([split / mu[0], (1 - split) / mu[1], 1.0 / -mu[2]])
    return np.sqrt(squares / squares.sum())


def pair(x: np.ndarray, share: float = 0.5) -> Family:
    """Return two points at x and -x with shares of the mass."""
    return np.stack([x, -x]), np.array([share, 1 - share])


def cross(basis: np.ndarray, shares: np.ndarray) -> Family:
    """Return the points of a cross-polytope, opposite ones of equal mass."""
    return np.concatenate([basis, -basis]), np.concatenate([shares, shares]) / 2


def polygon(corners: int, plane: np.ndarray) -> Family:
    """Return the corners of a regular polygon in the plane of two orthonormal rows."""
    angles = 0.3 + 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane, np.full(corners, 1.0 / corners)


def placed(family: Family) -> mf.Tokens:
    """Return a family as N tokens or more, the last of them massless."""
    points, masses = family
    fill = max(N - len(points), 0)
    return mf.Tokens(
        mf.Sphere(3), np.concatenate([points, np.repeat(points[:1], fill, axis=0)]), np.append(masses, np.zeros(fill))
    )


@claim(
    PAPER,
    "stationary measures",
    covers=["1.5"],
    status="derived",
    states={
        "one point": lambda basis, rng: (basis[2:], np.ones(1)),
        "opposite points": lambda basis, rng: pair(basis[0], rng.uniform(0.1, 0.9)),
        "cross": lambda basis, rng: cross(basis, rng.dirichlet(np.full(3, 3.0))),
        "eigenspace": lambda basis, rng, corners: polygon(corners, basis[:2]),
        "null pair": lambda basis, rng, mu: pair(null_direction(mu, rng) @ basis),
    },
)
def families_of_measures_are_stationary_with_and_without_denominator(case: Case) -> None:
    """A Dirac at an eigenvector, opposite points of any masses, cross-polytopes over an eigenbasis, polygons in a
    degenerate eigenspace, and opposite points x with <x, Dx> = 0 are at rest under SA and USA."""
    rng, kappa, corners = case.generator("form"), case.given("kappa", 1.0), case.given("corners", 7)
    basis = np.linalg.qr(rng.normal(size=(3, 3)))[0].T
    mu = kappa * np.array([rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0), -rng.uniform(0.5, 2.0)])
    equal = np.array([mu[0], mu[0], mu[2]])
    forms = {name: basis.T @ np.diag(mu if name != "eigenspace" else equal) @ basis for name in vars(case.statement)}
    because, within = "rounding of numbers of size e^2", 1e-13 * max(1.0, kappa * np.exp(2.0 * (kappa - 1.0)))
    for name, D in forms.items():
        more = {"null pair": (mu,), "eigenspace": (corners,)}.get(name, ())
        tokens = placed(getattr(case.statement, name)(basis, case.generator(name), *more))
        for weighting in ("softmax", "unnormalised"):
            v = speeds(case, mf.gradient_attention((D + D.T) / 2, weighting=weighting), tokens)
            # the tokens without mass stand on one with mass
            case.compare(v, 0.0, within=within, because=because, name=f"{name}, {weighting}")


stationary_families = families_of_measures_are_stationary_with_and_without_denominator


@stationary_families.figure
def largest_velocities(case: Case, ax: Any) -> None:
    """Draw the largest velocity of every family, with and without a denominator."""
    families = list(vars(case.statement))
    for curves, colour, shift, label in (
        (case.curves[::2], ACCENT[0], -0.08, "SA"),
        (case.curves[1::2], ACCENT[1], 0.08, "USA"),
    ):
        sizes = [max(float(np.abs(curve.measured).max()), 1e-18) for curve in curves]
        ax.plot(np.arange(len(sizes)) + shift, sizes, "o", color=colour, ms=8, label=label)
    ax.axhline(case.curves[0].within[0], color=THEORY, ls="--", lw=1.2, label="tolerance, of rounding")
    ax.set_xticks(range(len(families)), [name.replace(" ", "\n") for name in families])
    ax.set(yscale="log", ylim=(1e-18, 1.0), ylabel="largest velocity of a token")
    about = (case.instance["kappa"], case.instance["corners"])
    ax.set_title("kappa = {:g}; a polygon of {} corners in the eigenspace".format(*about), fontsize=11, loc="left")
    ax.legend(fontsize=9)


@stationary_families.mutation("one point")
def any_point(basis: np.ndarray, rng: np.random.Generator) -> Family:
    """A Dirac anywhere, as for multiples of the identity."""
    return normalised(basis[:1] + 0.5 * basis[2:]), np.ones(1)


@stationary_families.mutation("null pair")
def pair_between_eigenvectors(basis: np.ndarray, rng: np.random.Generator, mu: np.ndarray) -> Family:
    """Opposite points on the bisector of two eigenvectors."""
    return pair((basis[0] + basis[2]) / np.sqrt(2.0)) if abs(mu[0] + mu[2]) > 0.02 else pair(normalised(basis.sum(0)))


@stationary_families.mutation("cross")
def opposite_masses_differ(basis: np.ndarray, rng: np.random.Generator) -> Family:
    """A cross-polytope whose opposite points have other masses."""
    shares = rng.dirichlet(np.full(3, 3.0))
    return np.concatenate([basis, -basis]), np.concatenate([1.5 * shares, 0.5 * shares]) / 2


@stationary_families.mutation("eigenspace")
def polygon_across_eigenspaces(basis: np.ndarray, rng: np.random.Generator, corners: int) -> Family:
    """A polygon in a plane of two different eigenvalues."""
    return polygon(corners, basis[1:])


@claim(
    PAPER,
    "eigenvectors",
    covers=["1.5"],
    status="derived",
    states=lambda D, R: R @ D @ R.T,
    id=f"{PAPER}/equivariance",
)
def turning_the_form_turns_the_flow(case: Case) -> None:
    """Tokens R x under R D R^T move as R times the tokens x under D: only eigenvalues decide what happens."""
    rng, sign = case.generator("matrices"), case.choose("sign", [1, -1])
    d, n, kappa = case.given("d", 3), case.given("n", COUNT), case.given("kappa", 1.0)
    D = kappa * (lambda a: a + a.T)(rng.normal(size=(d, d)))
    R = np.linalg.qr(rng.normal(size=(d, d)))[0]
    tokens, form = cloud(case, d=d, n=n), case.predict(D, R)
    turned = mf.Tokens(mf.Sphere(d), np.asarray(tokens.points) @ R.T)
    v = speeds(case, mf.gradient_attention(D, sign=sign), tokens)
    moved = np.asarray(case.measure(speeds, case, mf.gradient_attention((form + form.T) / 2, sign=sign), turned))
    because = "rounding of numbers of size |D|"
    within = 1e-13 * np.linalg.norm(D, 2)
    case.compare(moved, v @ R.T, within=within, because=because, name="velocities under the turned form")


@turning_the_form_turns_the_flow.mutation
def transposed_rotation(D: Any, R: Any) -> Any:
    """R^T D R."""
    return R.T @ D @ R


@turning_the_form_turns_the_flow.mutation
def form_left_as_it_is(D: Any, R: Any) -> Any:
    """D itself, as for a multiple of the identity."""
    return D
