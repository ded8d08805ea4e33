from __future__ import annotations

import equinox as eqx
import numpy as np
import pytest

import measureflow as mf


class ByHand:
    """Attention as the papers print it: two loops over tokens, in NumPy, with matrices acting on columns."""

    def __init__(self, beta, query=None, key=None, value=None, score="dot", weighting="softmax", mask=None):
        self.beta, self.score, self.weighting, self.mask = beta, score, weighting, mask
        self.query, self.key, self.value = query, key, value

    def act(self, matrix, x):
        return x if matrix is None else matrix * x if np.ndim(matrix) == 0 else matrix @ x

    def weights(self, x, place, mu):
        points, masses, places = (np.asarray(a) for a in (mu.points, mu.weights, mu.positions))
        result = np.zeros(len(points))
        for j, y in enumerate(points):
            if not mu.present[j] or (self.mask == "causal" and places[j] > place):
                continue
            q, k = self.act(self.query, x), self.act(self.key, y)
            score = q @ k if self.score == "dot" else -np.sum((q - k) ** 2)
            result[j] = masses[j] * np.exp(self.beta * score)
        return result / result.sum() if self.weighting == "softmax" and result.sum() > 0 else result

    def output(self, x, mu, places=None):
        places = np.asarray(mu.positions) if places is None else places
        rows = []
        for x_i, place in zip(np.asarray(x), places, strict=False):
            row = np.zeros(mu.d)
            for weight, y in zip(self.weights(x_i, place, mu), np.asarray(mu.points), strict=True):
                row += weight * self.act(self.value, y)
            rows.append(row)
        return np.array(rows)


@pytest.fixture(scope="session")
def by_hand() -> type[ByHand]:
    return ByHand


@pytest.fixture(scope="session")
def output():
    """`field.output` as NumPy, compiled once per kind of field."""
    program = eqx.filter_jit(lambda field, x, mu, positions=None: field.output(x, mu, positions))
    return lambda field, x, mu, positions=None: np.asarray(program(field, x, mu, positions))


@pytest.fixture(scope="session")
def velocity():
    """`field(x, mu)` as NumPy, compiled once per kind of field."""
    program = eqx.filter_jit(lambda field, x, mu, positions=None: field(x, mu, positions))
    return lambda field, x, mu, positions=None: np.asarray(program(field, x, mu, positions))


@pytest.fixture(scope="session")
def tokens() -> mf.Tokens:
    """Seven tokens in R^4 with unequal masses and shuffled places in their text."""
    weights = np.arange(1.0, 8.0)
    points = mf.uniform(mf.Sphere(4), 7, seed=5).points
    return mf.Tokens(mf.Sphere(4), points, weights / weights.sum(), positions=[3, 0, 6, 1, 5, 2, 4])


@pytest.fixture(scope="session")
def flat(tokens) -> mf.Tokens:
    """The same in Euclidean space, no longer of length one."""
    return mf.Tokens(mf.Euclidean(4), 1.5 * tokens.points + 0.2, tokens.weights, positions=tokens.positions)


@pytest.fixture(scope="session")
def matrices() -> dict[str, np.ndarray]:
    """A query and a key into R^3 and a value, none of them symmetric."""
    rng = np.random.default_rng(8)
    return {"query": rng.normal(size=(3, 4)), "key": rng.normal(size=(3, 4)), "value": rng.normal(size=(4, 4))}


@pytest.fixture(scope="session")
def queries() -> np.ndarray:
    """Five points of the sphere in R^4 that are no tokens."""
    return np.asarray(mf.uniform(mf.Sphere(4), 5, seed=77).points)
