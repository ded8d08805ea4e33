"""How many pairs a sum over neighbours would visit: counted on the host, for a sample of the queries."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Float

from measureflow.measures import Tokens
from measureflow.sums.cells import Cells
from measureflow.sums.exponential import Exponential
from measureflow.sums.near import offsets_of, upper_exponents
from measureflow.sums.neighbours import QUERIES, atoms_per_block, cut

__all__ = ["share_of_pairs"]

#: blocks of queries that are looked at
SAMPLE = 16
#: atoms that a query is taken to see before it is asked what it has got
FIRST = 256


def share_of_pairs(exponential: Exponential, mu: Tokens, x: Float[Array, "m d"], tolerance: float) -> float:
    """Return about which share of the pairs of queries and atoms `Neighbours(tolerance)` sums.

    The queries of a sample get what their nearest blocks hold, and the blocks whose bound matters beside that are
    counted. A mask is not looked at.
    """
    c = abs(float(exponential.number))
    present = np.asarray(mu.present)
    points, masses = np.asarray(mu.points)[present], np.asarray(mu.weights)[present]
    queries = points if x is mu.points else np.asarray(x)
    if float(exponential.number) < 0:
        queries = -queries
    atoms = np.minimum(cut(points, atoms_per_block(len(points)), np)[0], len(points) - 1)
    rows = np.minimum(cut(queries, QUERIES * atoms_per_block(len(queries)), np)[0], len(queries) - 1)
    around, mass = Cells.around(points[atoms], np), masses[atoms].sum(axis=1)
    heights = offsets_of(c, points[atoms], np).max(axis=1)
    first = max(1, FIRST // atoms.shape[1])

    def share(z: np.ndarray) -> float:
        upper = upper_exponents(c, Cells.around(z[None], np)[0], around, heights, np)
        order = np.argsort(-upper)
        near = atoms[order[:first]].reshape(-1)
        gaps = sum((z[:, None, k] - points[None, near, k]) ** 2 for k in range(mu.d))
        logits = offsets_of(c, points[near], np) - 0.5 * c * gaps + np.log(masses[near])
        got = np.logaddexp.reduce(logits, axis=1).min()
        left = np.logaddexp.accumulate((upper + np.log(mass))[order][::-1])[::-1]
        return float(np.mean(left > got + np.log(tolerance)))

    sample = rows[np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int))]
    # atoms without mass have the logarithm -inf
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return float(np.mean([share(queries[block]) for block in sample]))
