"""Gaussians: a mean and a covariance, where attention has a closed form."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.measures.measure import Measure, measure_kind
from measureflow.measures.seeds import as_key
from measureflow.measures.tokens import Tokens
from measureflow.spaces import Euclidean, Space, is_traced

__all__ = ["Gaussian", "checked_covariance", "numbers"]


@measure_kind
class Gaussian(Measure):
    r"""The normal law $N(m, S)$ on Euclidean space.

    Fields meet it through `tilt`: softmax attention sees the mean of the law weighted by $e^{\langle a, y\rangle}$,
    which is `m + S a`. So the velocity is affine, the law stays normal, and `mf.flow` moves `d + d(d+1)/2` numbers.

    Arguments:
        mean: `(d,)`.
        cov: `(d, d)`, symmetric and positive semi-definite, or a number for a multiple of the identity.

    Raises:
        BadInput: wrong shapes, entries that are not finite, a covariance that is not symmetric or has a negative
            eigenvalue.

    Source: [arXiv:2501.18322](https://arxiv.org/abs/2501.18322).

    Example:
        >>> import measureflow as mf
        >>> mf.Gaussian([1.0, 0.0], 0.25).tilt([4.0, 0.0]).tolist()
        [2.0, 0.0]
    """

    space: Space
    mean: Float[Array, "d"]
    cov: Float[Array, "d d"]

    def __init__(self, mean: Any, cov: Any) -> None:
        if is_traced(mean, cov):
            self.mean, cov = jnp.asarray(mean, float), jnp.asarray(cov, float)
            shape = self.mean.shape * 2
            if self.mean.ndim != 1 or cov.shape not in ((), shape):
                raise BadInput(f"Gaussian: mean has shape {self.mean.shape} and cov {cov.shape}; give (d,) and (d, d).")
            self.cov = cov * jnp.eye(shape[0]) if cov.ndim == 0 else cov
        else:
            centre = numbers(mean, "Gaussian: mean")
            if centre.ndim != 1 or not len(centre):
                raise BadInput(f"Gaussian: mean has shape {centre.shape}; it must be (d,) with d >= 1.")
            self.mean = jnp.asarray(centre)
            self.cov = jnp.asarray(checked_covariance("Gaussian: cov", cov, len(centre)))
        self.space = Euclidean(self.mean.shape[0])

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """Mean and covariance."""
        return {"mean": ("coordinate",), "cov": ("coordinate", "beside")}

    def said(self) -> str:
        """Say that it is one."""
        return "a Gaussian"

    def tilt(self, a: Any) -> Float[Array, "*b d"]:
        r"""Return the mean of the law weighted by $e^{\langle a, y\rangle}$, which is `m + S a`."""
        return self.mean + jnp.asarray(a, float) @ self.cov  # the covariance is symmetric

    def sample(self, n: int, *, seed: Any = 0) -> Tokens:
        """Draw `n` independent tokens.

        Example:
            >>> import measureflow as mf
            >>> mf.Gaussian([0.0, 0.0], 1.0).sample(100, seed=1)
            Tokens(n=100, Euclidean(d=2))
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise BadInput(f"n is {n!r}; the number of tokens must be an integer of at least 1.")
        values, vectors = np.linalg.eigh(np.asarray(self.cov))
        root = vectors * np.sqrt(np.clip(values, 0.0, None))
        normals = jax.random.normal(as_key(seed), (int(n), self.d), dtype=float)
        return Tokens(self.space, self.mean + normals @ jnp.asarray(root).T)

    def __repr__(self) -> str:
        return f"Gaussian({self.space!r})" if not self.batch else f"Gaussian(batch {self.batch}, {self.space!r})"


def checked_covariance(name: str, cov: Any, d: int) -> np.ndarray:
    """Return a covariance as a matrix, or raise `BadInput` where it is none."""
    matrix = numbers(cov, name)
    matrix = matrix * np.eye(d) if matrix.ndim == 0 else matrix
    if matrix.shape != (d, d):
        raise BadInput(f"{name} has shape {matrix.shape} and the mean is in R^{d}; give a ({d}, {d}) matrix.")
    if not np.allclose(matrix, matrix.T, rtol=1e-12, atol=1e-12 * np.abs(matrix).max()):
        raise BadInput(f"{name} is not symmetric. Use (C + C.T) / 2.")
    values = np.linalg.eigvalsh(matrix)
    if values[0] < -1e-12 * max(1.0, values[-1]):
        raise BadInput(f"{name} has the eigenvalue {values[0]:.3g}; it must be positive semi-definite.")
    return 0.5 * (matrix + matrix.T)


def numbers(values: Any, name: str) -> np.ndarray:
    """Return an array of finite real numbers, or raise `BadInput` that names the value."""
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise BadInput(f"{name} is {values!r}; it must be made of real numbers.") from None
    if not np.isfinite(array).all():
        raise BadInput(f"{name} is {array.tolist()}; every number must be finite.")
    return array.astype(float)
