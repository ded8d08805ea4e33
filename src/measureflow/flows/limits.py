r"""What a cloud at rest is called: one cluster, two opposite ones, several, a ring, or tokens spread over it all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from measureflow.errors import BadInput
from measureflow.fields import Field, SelfAttention, Softmax, Unnormalised
from measureflow.fields.matrices import full
from measureflow.fields.scores import Dot

__all__ = ["KINDS", "Limit", "clusters_of", "eigenvectors", "matrices_of", "named_limit"]

#: the kinds of a limit, in the order of their codes
KINDS = ("one cluster", "two clusters", "several clusters", "ring", "spread")
#: tokens nearer than this are one cluster, and what is within this of an eigenvector is there
NEAR = 1e-3


class Limit:
    """What a cloud at rest is.

    Attributes:
        kind: one of `KINDS`: `"two clusters"` are opposite; a `"ring"` is spread over a great circle of a larger
            sphere; where more than half of the tokens stand apart they are `"spread"`.
        axis: the index of the eigenvector at whose ends all clusters are, -1 if none.
        clusters: their number. masses: of the clusters, the largest first.
    """

    def __init__(self, kind: str, axis: int, masses: Float[np.ndarray, "k"]) -> None:
        self.kind, self.axis, self.clusters, self.masses = kind, axis, len(masses), masses

    def __repr__(self) -> str:
        where = f" at e_{self.axis + 1}" if self.axis >= 0 else ""
        number = f"{self.clusters} clusters" if self.kind == "several clusters" else self.kind
        return f"{number}{where}"


def matrices_of(field: Field, d: int | None = None) -> tuple[np.ndarray, np.ndarray, bool]:
    r"""Return D, V and whether weights are divided by their sum, for attention with logits $\langle x, Dy\rangle$.

    Raises:
        BadInput: another field; matrices that are multiples of the identity and no dimension.
    """
    known = isinstance(field, SelfAttention) and isinstance(field.kernel.weighting, (Softmax, Unnormalised))
    if not isinstance(field, SelfAttention) or not known or field.positional or not isinstance(field.kernel.score, Dot):
        raise BadInput(f"the field is {field!r}; give softmax or unnormalised attention of inner products, unmasked.")
    wide = [matrix.shape[1] for matrix in field.matrices if matrix is not None and matrix.ndim == 2]
    if not wide and d is None:
        raise BadInput(f"{field!r} acts in any dimension; say which with d=.")
    size = wide[0] if wide else int(d or 0)
    query, key, value = (np.asarray(full(matrix, size)) for matrix in field.matrices)
    shift = float(field.beta) if getattr(field.kernel.weighting, "shifted", False) else 0.0
    return float(field.beta) * query.T @ key, value * np.exp(-shift), isinstance(field.kernel.weighting, Softmax)


def eigenvectors(form: Float[np.ndarray, "d d"]) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
    """Return eigenvalues and eigenvectors (rows) of the symmetric part; of a diagonal form in the order of its axes."""
    if np.array_equal(form, np.diag(np.diag(form))):
        return np.diag(form).copy(), np.eye(len(form))
    values, vectors = np.linalg.eigh((form + form.T) / 2)
    return values, vectors.T


def clusters_of(points: Float[np.ndarray, "n d"], near: float = NEAR) -> Int[np.ndarray, "n"]:
    """Return the cluster of every token: chains of tokens nearer than `near`."""
    from scipy.sparse.csgraph import connected_components  # imported when used: it is slow to import

    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    return connected_components(square < near**2, directed=False)[1]


def named_limit(
    points: Float[np.ndarray, "n d"],
    form: Float[np.ndarray, "d d"],
    masses: Float[np.ndarray, "n"] | None = None,
) -> Limit:
    """Return what a cloud at rest under a form is; tokens without mass do not count."""
    masses = np.full(len(points), 1.0 / len(points)) if masses is None else np.asarray(masses, float)
    points, masses = np.asarray(points)[masses > 0], masses[masses > 0]
    member = clusters_of(points)
    weights = np.bincount(member, masses)
    centres = np.zeros((len(weights), points.shape[1]))
    np.add.at(centres, member, masses[:, None] * points)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    ordered = np.sort(weights)[::-1]
    if 2 * len(weights) > max(len(points), 4):
        flat = points.shape[1] > 2 and np.linalg.svd(points, compute_uv=False)[2] < NEAR * np.sqrt(len(points))
        return Limit("ring" if flat else "spread", -1, ordered)
    opposite = len(weights) == 2 and np.linalg.norm(centres[0] + centres[1]) < 10 * NEAR
    kind = "one cluster" if len(weights) == 1 else "two clusters" if opposite else "several clusters"
    _, axes = eigenvectors(form)
    at = np.abs(centres @ axes.T)
    axis = int(at[0].argmax()) if (1.0 - at[:, at[0].argmax()] < 0.5 * (10 * NEAR) ** 2).all() else -1
    return Limit(kind, axis, ordered)
