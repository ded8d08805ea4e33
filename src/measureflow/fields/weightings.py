"""Weightings: what is done with the logits, so that they become weights on the atoms."""

from __future__ import annotations

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from measureflow.errors import BadInput

__all__ = ["Hardmax", "Linear", "Softmax", "Unnormalised", "Weighting", "as_weighting"]


class Weighting(eqx.Module):
    """A map from rows of logits to rows of weights, given the masses `a_j` and who may be seen."""

    @property
    def temperate(self) -> bool:
        """Whether the weights change in kind with `beta`; where not, a field needs none."""
        return True

    @property
    def continuous(self) -> bool:
        """Whether the weights change continuously with the logits."""
        return True

    @property
    def largest_beta(self) -> float:
        """The largest logit scale `beta` that the weighting computes without overflow; most overflow at none."""
        return float("inf")

    @abc.abstractmethod
    def __call__(
        self,
        logits: Float[Array, "m n"],
        masses: Float[Array, "n"],
        allowed: Bool[Array, "m n"],
        shift: Float[Array, ""],
    ) -> Float[Array, "m n"]:
        """Return the weights; zero wherever not allowed. `shift` is the largest logit of plain unit vectors, `beta`."""


class Softmax(Weighting):
    r"""$w_j = a_j e^{\ell_j} / \sum_k a_k e^{\ell_k}$, the largest logit taken out first. Rows sum to 1."""

    def __call__(
        self,
        logits: Float[Array, "m n"],
        masses: Float[Array, "n"],
        allowed: Bool[Array, "m n"],
        shift: Float[Array, ""],
    ) -> Float[Array, "m n"]:
        """Return the rows; a row that may see nothing of positive mass is zero."""
        seen = allowed & (masses > 0)
        # an atom without mass must not set the shift: the others could underflow beside it
        top = jax.lax.stop_gradient(jnp.max(logits, axis=1, where=seen, initial=-jnp.inf, keepdims=True))
        top = jnp.where(jnp.isfinite(top), top, jnp.zeros_like(top))
        # where an atom has no mass its logit may lie far above: cut off, so that the derivative by its mass is finite
        above = jnp.minimum(logits - top, 0.9 * math.log(float(jnp.finfo(logits.dtype).max)))
        raised = jnp.where(allowed, masses * jnp.exp(jnp.where(allowed, above, jnp.zeros_like(logits))), 0)
        norm = jnp.sum(raised, axis=1, keepdims=True)
        return raised / jnp.where(norm > 0, norm, jnp.ones_like(norm))


class Unnormalised(Weighting):
    r"""$w_j = a_j e^{\ell_j}$ (the USA model), or with `shifted=True` $a_j e^{\ell_j - \beta}$ (USA*, whose clock is
    slower by $e^\beta$ and which does not overflow on the sphere)."""

    shifted: bool = eqx.field(static=True, default=False)

    @property
    def largest_beta(self) -> float:
        """Where `e^beta` overflows, unless the logits are shifted."""
        return float("inf") if self.shifted else 700.0

    def __call__(
        self,
        logits: Float[Array, "m n"],
        masses: Float[Array, "n"],
        allowed: Bool[Array, "m n"],
        shift: Float[Array, ""],
    ) -> Float[Array, "m n"]:
        """Return the rows, which do not sum to 1."""
        logits = logits - shift if self.shifted else logits
        return jnp.where(allowed, masses * jnp.exp(jnp.where(allowed, logits, jnp.zeros_like(logits))), 0)


class Hardmax(Weighting):
    r"""$w_j = a_j / \sum_{k \in C} a_k$ for the atoms of the largest logit, $j \in C$; zero elsewhere. Rows sum to 1.

    The limit of softmax as beta goes to infinity. Ties share by mass, one choice of many: as a function of the query
    this is set valued where two logits tie, any mean over the tied atoms is a limit of softmax, and a flow through
    such a point need not be unique (Filippov; arXiv:2312.10794, section 9.3). The derivative with respect to the
    logits is zero wherever it exists; what the values pull is differentiated. A flow whose tokens slide along a tie
    cannot be resolved by steps and ends as `unresolved`.

    Arguments:
        tie: logits within this part of the row's largest |logit| below the top are tied; 0 for exact ties only.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.Tokens(mf.Euclidean(1), [[-1.0], [0.5], [2.0]])
        >>> mf.SelfAttention(weighting="hardmax").weights(tokens.points, tokens).astype(int).tolist()
        [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    """

    tie: float = eqx.field(static=True, default=0.0)

    def __check_init__(self) -> None:
        number = isinstance(self.tie, (int, float)) and not isinstance(self.tie, bool)
        if not (number and 0 <= self.tie < 1):
            raise BadInput(f"Hardmax: tie is {self.tie!r}; it is a part of the largest logit, in [0, 1).")

    @property
    def temperate(self) -> bool:
        """No beta: the largest logit is the largest at every scale."""
        return False

    @property
    def continuous(self) -> bool:
        """The weights jump where the largest logit changes hands."""
        return False

    def __call__(
        self,
        logits: Float[Array, "m n"],
        masses: Float[Array, "n"],
        allowed: Bool[Array, "m n"],
        shift: Float[Array, ""],
    ) -> Float[Array, "m n"]:
        """Return the rows; a row that may see nothing of positive mass is zero."""
        seen = allowed & (masses > 0)
        logits = jax.lax.stop_gradient(logits)
        top = jnp.max(logits, axis=1, where=seen, initial=-jnp.inf, keepdims=True)
        slack = self.tie * jnp.max(jnp.abs(logits), axis=1, where=seen, initial=0.0, keepdims=True)
        raised = jnp.where(seen & (logits >= top - slack), masses, 0)
        norm = jnp.sum(raised, axis=1, keepdims=True)
        return raised / jnp.where(norm > 0, norm, jnp.ones_like(norm))


class Linear(Weighting):
    r"""$w_j = a_j \ell_j$: linear attention, $A(x;\mu) = \beta \int \langle Qx, Ky\rangle\, V y\, d\mu(y)$.

    Weights may be negative and rows do not sum to 1. `beta` is a factor of the clock, 1 where none is given.
    """

    @property
    def temperate(self) -> bool:
        """Beta is a factor and may be left out."""
        return False

    def __call__(
        self,
        logits: Float[Array, "m n"],
        masses: Float[Array, "n"],
        allowed: Bool[Array, "m n"],
        shift: Float[Array, ""],
    ) -> Float[Array, "m n"]:
        """Return the logits times the masses."""
        return jnp.where(allowed, masses * logits, 0)


NAMED = {"softmax": Softmax, "unnormalised": Unnormalised, "hardmax": Hardmax, "linear": Linear}


def as_weighting(weighting: str | Weighting) -> Weighting:
    """Return the weighting of a name; an object is returned as it is."""
    if isinstance(weighting, Weighting):
        return weighting
    if isinstance(weighting, str) and weighting in NAMED:
        return NAMED[weighting]()
    raise BadInput(
        f"weighting is {weighting!r}; it must be one of {', '.join(map(repr, NAMED))} or an mf.fields.Weighting object."
    )


class Interim(Softmax):
    """Interim."""
