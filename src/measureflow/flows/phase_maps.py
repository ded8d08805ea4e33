"""Phase maps: in which kind of limit random tokens end, over two eigenvalues of the form."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path as Folder
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from measureflow.errors import BadInput
from measureflow.fields import SelfAttention
from measureflow.fields.gradients import gradient_attention
from measureflow.flows.limits import KINDS, named_limit
from measureflow.flows.rest import come_to_rest
from measureflow.measures import Tokens
from measureflow.paths.style import beside
from measureflow.spaces import Sphere

__all__ = ["PhaseMap", "phase_map"]


@dataclasses.dataclass(frozen=True)
class PhaseMap:
    """The limits found over two eigenvalues of a diagonal form; cell (i, j) has the i-th first and the j-th second.

    Attributes:
        first, second: the eigenvalues. others: those that are the same in every cell.
        sign: 1 for attraction, -1 for repulsion; weighting: of the attention; n: tokens of a cell; seed.
        tol, until: a cell ends where no token is faster than `tol`, or at the time `until`.
        kind: indices of `measureflow.flows.limits.KINDS`; axis: of the eigenvector at whose ends clusters are, or -1.
        clusters: how many. mass: of the largest one. decided: whether the cell came to rest; where it did not, kind and
            axis say what it looked like when time was up. times, speeds: at the end. ends: where the tokens were then.
    """

    first: Float[np.ndarray, "p"]
    second: Float[np.ndarray, "q"]
    others: tuple[float, ...]
    sign: int
    weighting: str
    n: int
    seed: int
    tol: float
    until: float
    kind: Int[np.ndarray, "p q"] = dataclasses.field(repr=False)
    axis: Int[np.ndarray, "p q"] = dataclasses.field(repr=False)
    clusters: Int[np.ndarray, "p q"] = dataclasses.field(repr=False)
    mass: Float[np.ndarray, "p q"] = dataclasses.field(repr=False)
    decided: Bool[np.ndarray, "p q"] = dataclasses.field(repr=False)
    times: Float[np.ndarray, "p q"] = dataclasses.field(repr=False)
    speeds: Float[np.ndarray, "p q"] = dataclasses.field(repr=False)
    ends: Float[np.ndarray, "p q n d"] = dataclasses.field(repr=False)

    @property
    def d(self) -> int:
        """The dimension."""
        return 2 + len(self.others)

    def label(self, i: int, j: int) -> str:
        """Say what the limit of a cell is, and whether the cell was decided."""
        where = f" at e_{self.axis[i, j] + 1}" if self.axis[i, j] >= 0 else ""
        return f"{KINDS[self.kind[i, j]]}{where}{'' if self.decided[i, j] else ' (undecided)'}"

    def tokens(self, i: int, j: int) -> Tokens:
        """Return the start of a cell."""
        return Tokens(Sphere(self.d), start(self.seed, i, j, self.n, self.d))

    def field(self, i: int, j: int) -> SelfAttention:
        """Return what moves the tokens of a cell: `mf.flow(map.tokens(i, j), map.field(i, j), ...)` runs it again."""
        form = np.diag([self.first[i], self.second[j], *self.others])
        return gradient_attention(form, sign=self.sign, weighting=self.weighting)

    def recipe(self, i: int, j: int) -> dict[str, Any]:
        """Return a cell as plain numbers and words, from which it can be run again."""
        return {
            "form": [float(self.first[i]), float(self.second[j]), *self.others],
            "sign": self.sign,
            "weighting": self.weighting,
            "n": self.n,
            "seed": [self.seed, i, j],
            "tol": self.tol,
            "until": self.until,
        }

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the map with its recipe to an `.npz` file, at once or not at all."""
        target = Folder(file)
        if target.suffix != ".npz":
            raise BadInput(f"phase map {str(file)!r}: the ending must be .npz.")
        numbers = {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        said = json.dumps({name: value for name, value in vars(self).items() if name not in numbers})
        with beside(target) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, recipe=np.array(said), **numbers)

    @staticmethod
    def load(file: str | os.PathLike[str]) -> PhaseMap:
        """Read a map.

        Raises:
            BadInput: the file is no phase map.
        """
        try:
            with np.load(file) as stored:
                said = json.loads(str(stored["recipe"]))
                arrays = {name: stored[name] for name in stored.files if name != "recipe"}
            return PhaseMap(**{**said, "others": tuple(said["others"])}, **arrays)
        except (OSError, ValueError, KeyError, TypeError) as wrong:
            raise BadInput(f"phase map {str(file)!r} cannot be read: {wrong}.") from None


def start(seed: int, i: int, j: int, n: int, d: int) -> Float[np.ndarray, "n d"]:
    """Return the uniform tokens of a cell."""
    draw = np.random.default_rng([seed, i, j]).normal(size=(n, d))
    return draw / np.linalg.norm(draw, axis=1, keepdims=True)


def phase_map(
    first: Any,
    second: Any,
    *,
    others: Sequence[float] = (),
    sign: int = 1,
    n: int = 64,
    seed: int = 0,
    weighting: str = "softmax",
    tol: float = 1e-8,
    until: float = 1e4,
    rtol: float = 1e-4,
    push: float = 1e-4,
) -> PhaseMap:
    r"""Find the limit of random tokens for every pair of eigenvalues of $D = \mathrm{diag}(\lambda_1, \lambda_2, ..)$.

    Each cell has uniform tokens of its own, which follow V = ±D until none is faster than `tol` or the time is
    `until`: near the borders decay is algebraic, and cells that are not at rest by then are marked undecided. All cells
    are moved by one program; those that have come to rest make room for others. A cell's eigenvectors are the axes:
    the flow of $RDR^T$ is that of D turned by R.

    Main arguments:
        first, second: values of $\lambda_1$ and $\lambda_2$. others: the eigenvalues beyond; as many as d - 2.
        sign: 1 for attraction (V = D), -1 for repulsion. n: tokens of a cell.

    Other arguments:
        weighting: `"softmax"` or `"unnormalised"`.
        rtol: error of a step; it moves the borders of basins by as much.
        push: by how much clouds at rest are pushed aside, once, to come to rest again (`come_to_rest`).

    Raises:
        BadInput: eigenvalues that are not finite, fewer than 2 tokens, a sign or a weighting that is none.

    Source: the picture of [arXiv:2501.03096](https://arxiv.org/abs/2501.03096), for every symmetric form of its plane.

    Example:
        >>> import measureflow as mf
        >>> found = mf.flows.phase_map([-2.0, 1.0], [-1.0], n=8)
        >>> [found.label(i, 0) for i in range(2)]
        ['two clusters at e_1', 'one cluster at e_1']
    """
    first, second = (np.atleast_1d(np.asarray(values, float)) for values in (first, second))
    others = tuple(float(value) for value in others)
    if not all(np.isfinite(values).all() and np.ndim(values) == 1 for values in (first, second, np.array(others))):
        raise BadInput("phase_map: the eigenvalues must be finite numbers, in one axis each.")
    if n < 2:
        raise BadInput(f"phase_map: n is {n}; a cell needs at least 2 tokens.")
    d, shape = 2 + len(others), (len(first), len(second))
    gradient_attention(np.eye(d), sign=sign, weighting=weighting)  # says what is wrong with the sign and the weighting
    cells = list(np.ndindex(shape))
    points = np.stack([start(seed, i, j, n, d) for i, j in cells])
    forms = np.stack([np.diag([first[i], second[j], *others]) for i, j in cells])
    softmax = weighting == "softmax"
    rest = come_to_rest(points, forms, sign * forms, softmax=softmax, tol=tol, until=until, rtol=rtol, push=push)
    limits = [named_limit(x, form) for x, form in zip(rest.points, forms, strict=True)]
    found = {
        "kind": [KINDS.index(limit.kind) for limit in limits],
        "axis": [limit.axis for limit in limits],
        "clusters": [limit.clusters for limit in limits],
        "mass": [limit.masses[0] for limit in limits],
        "decided": rest.rested,
        "times": rest.times,
        "speeds": rest.speeds,
    }
    arrays: dict[str, Any] = {name: np.reshape(np.asarray(values), shape) for name, values in found.items()}
    arrays["ends"] = np.reshape(rest.points, (*shape, n, d))
    return PhaseMap(first, second, others, int(sign), str(weighting), n, seed, tol, until, **arrays)
