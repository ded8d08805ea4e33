r"""The exponential $e^{tV} = e^{\sigma t} E_t$ with its growth taken out, so that it can be had at any t."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import expm
from jaxtyping import Array, Complex, Float

from measureflow.fields.matrices import Matrix, is_scalar
from measureflow.spaces import is_traced

__all__ = ["Growth"]

#: eigenvectors that are worse conditioned than this lose too many digits: then V is exponentiated by squarings
CONDITION = 1e6


class Growth(eqx.Module):
    r"""What of $e^{tV}$ grows, $\sigma$, and what is left, $E_t = e^{t(V - \sigma)}$, bounded but for Jordan blocks.

    Attributes:
        rate: the largest real part of an eigenvalue of V (of V + V^T over 2 where V is traced).
        modes: eigenvectors, their inverse, and eigenvalues less the rate; `None` where V is a number, or where they
            are ill conditioned or cannot be looked at.
        matrix: `V - rate`, where there are no modes; `None` where V is a number.
        rest: what of V is left out of the exponential, where only the growing part was asked for.
    """

    rate: Float[Array, ""]
    modes: tuple[Complex[Array, "d d"], Complex[Array, "d d"], Complex[Array, "d"]] | None
    matrix: Float[Array, "d d"] | None
    rest: Matrix

    @classmethod
    def of(cls, value: Matrix, growing: bool) -> Growth:
        """Return the growth of V, of its part with eigenvalues of real part >= 0 where `growing`."""
        if value is None or is_scalar(value):
            number = jnp.ones(()) if value is None else value
            rate = jnp.maximum(number, 0.0) if growing else number
            return cls(rate, None, None, jnp.minimum(number, 0.0) if growing and value is not None else None)
        if is_traced(value):
            rate = jnp.linalg.eigvalsh(0.5 * (value + value.T))[-1]
            return cls(rate, None, value - rate * jnp.eye(value.shape[0]), None)
        return cls.of_matrix(np.asarray(value), growing)

    @classmethod
    def of_matrix(cls, value: np.ndarray, growing: bool) -> Growth:
        """Return the growth of a matrix that can be looked at."""
        symmetric = np.array_equal(value, value.T)
        roots, vectors = np.linalg.eigh(value) if symmetric else np.linalg.eig(value)
        # real eigenvalues are no other program than complex ones
        roots, vectors = roots.astype(complex), vectors.astype(complex)
        kept = np.where(np.real(roots) >= 0, roots, 0) if growing else roots
        rate = float(np.real(kept).max())
        if not symmetric and np.linalg.cond(vectors) > CONDITION and not growing:
            return cls(jnp.asarray(rate), None, jnp.asarray(value - rate * np.eye(len(value))), None)
        inverse = vectors.T if symmetric else np.linalg.inv(vectors)
        left = jnp.asarray(np.real((vectors * (roots - kept)) @ inverse)) if growing else None
        return cls(
            jnp.asarray(rate), (jnp.asarray(vectors), jnp.asarray(inverse), jnp.asarray(kept - rate)), None, left
        )

    def shape(self, t: Any) -> Matrix:
        """Return `E_t`; `None` where it is the identity."""
        if self.modes is not None:
            vectors, inverse, exponents = self.modes
            return jnp.real((vectors * jnp.exp(t * exponents)) @ inverse)
        return None if self.matrix is None else expm(t * self.matrix)
