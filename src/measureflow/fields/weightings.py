"""Weightings: what is done with the logits, so that they become weights on the atoms."""

from __future__ import annotations

import abc
import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from measureflow.errors import BadInput
from measureflow.fields.balancing import PATIENT, balanced, half_steps, rounding
from measureflow.spaces import is_traced

__all__ = ["Hardmax", "Linear", "Sinkhorn", "Softmax", "Unnormalised", "Weighting", "as_weighting"]


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

    @property
    def balances(self) -> bool:
        """Whether each atom has a potential, found on the measure itself, that is added to its logits."""
        return False

    def suited(self, logits: Float[Array, "n n"], masses: Float[Array, "n"]) -> Weighting:
        """Return the weighting in the form that serves such logits best: itself, where it has one form."""
        return self

    def potential(self, logits: Float[Array, "n n"], masses: Float[Array, "n"]) -> Float[Array, "n"]:
        """Return that potential, from the logits of the atoms on each other; absent ones have mass 0."""
        return jnp.zeros_like(masses)

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


class Sinkhorn(Weighting):
    r"""$w_j = a_j e^{\ell_j + g_j} / \sum_k a_k e^{\ell_k + g_k}$ with g such that $\sum_i a_i w_{ij} = a_j$.

    Doubly stochastic attention: g is found on the measure itself by Sinkhorn's iteration, on logarithms. Rows sum to 1
    at every query, on the support and off it; the columns of the support to `tolerance`. Adding $u(x) + w(y)$ to the
    logits changes nothing. A triangular matrix of this kind is the identity, so there is no causal mask. Where
    `iterations` says so, the published models are meant, whose half steps end after a fixed number: 1 is softmax.

    Derivatives are those of the solution, by the implicit function theorem; of a fixed number of half steps they are
    exact, through both potentials. Memory is quadratic in the number of tokens.

    Arguments:
        tolerance: largest error of a sum over a row or a column (relative), or what rounding of large logits allows.
        most: steps until the iteration is given up. Outside of JAX's transformations that is an error that says how far
            off the sums are. Inside nothing can be raised: the weights are NaN, a flow takes shorter steps or ends
            before, and `mf.observe.marginal_error` shows what is wrong.
        iterations: a fixed, odd number of half steps instead: rows, columns, .., rows.
        newton: whether Newton's method is compiled in, for logits that spread over hundreds (up to 1,024 tokens):
            there the iteration takes ten thousand steps or more, and this some 25. Outside of JAX's transformations,
            and where a flow starts, it is taken where the iteration is slow, whatever is said here; a program into
            which it is compiled takes a second longer for that.

    Source: [arXiv:2110.11773](https://arxiv.org/abs/2110.11773).

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=4, seed=0)
        >>> weights = mf.SelfAttention(9.0, weighting="sinkhorn").weights(tokens.points, tokens)
        >>> bool(abs(weights.sum(axis=0) - 1).max() < 1e-12)
        True
    """

    tolerance: float = eqx.field(static=True, default=1e-12)
    most: int = eqx.field(static=True, default=10_000)
    iterations: int | None = eqx.field(static=True, default=None)
    newton: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        number = isinstance(self.tolerance, (int, float)) and not isinstance(self.tolerance, bool)
        if not (number and 0 < self.tolerance < 1):
            raise BadInput(f"Sinkhorn: tolerance is {self.tolerance!r}; it must lie between 0 and 1, such as 1e-12.")
        if not (type(self.most) is int and self.most >= 1):
            raise BadInput(f"Sinkhorn: most is {self.most!r}; it is a number of steps, at least 1.")
        if not isinstance(self.newton, bool):
            raise BadInput(f"Sinkhorn: newton is {self.newton!r}; it is True or False.")
        if self.iterations is None:
            return
        if not (type(self.iterations) is int and self.iterations >= 1):
            raise BadInput(f"Sinkhorn: iterations is {self.iterations!r}; it is an odd number of half steps, or None.")
        if self.iterations % 2 == 0:
            raise BadInput(
                f"Sinkhorn: iterations is {self.iterations}; an even number of half steps ends with the columns, and a "
                f"query's weights would not sum to 1. Take {self.iterations - 1} or {self.iterations + 1}."
            )

    @property
    def balances(self) -> bool:
        """Whether there is a potential: not where the only half step is softmax."""
        return self.iterations != 1

    @property
    def converges(self) -> bool:
        """Whether the weights are doubly stochastic, and not those of a fixed number of half steps."""
        return self.iterations is None

    def potential(self, logits: Float[Array, "n n"], masses: Float[Array, "n"]) -> Float[Array, "n"]:
        """Return g.

        Raises:
            BadInput: the iteration did not converge.
        """
        if self.iterations is not None:
            return half_steps(logits, masses, self.iterations)
        allowed = jnp.maximum(self.tolerance, rounding(logits))
        if is_traced(logits, masses):
            g, residual = balanced(self.tolerance, self.most, logits, masses, newton=self.newton)
            return jnp.where(residual <= allowed, g, jnp.nan)
        # by hand Newton's method is taken, and compiled, where the iteration is slow
        g, residual = balanced(self.tolerance, min(self.most, PATIENT), logits, masses)
        if float(residual) > float(allowed) and self.most > PATIENT:
            g, residual = balanced(self.tolerance, self.most, logits, masses, newton=True)
        if not float(residual) <= float(allowed):
            raise BadInput(
                f"Sinkhorn: after {self.most:,} steps a row or column sums to 1 up to {float(residual):.2g}, and the "
                f"tolerance is {float(allowed):.2g}. Raise most= or tolerance=, or take a smaller beta."
            )
        return g

    def suited(self, logits: Float[Array, "n n"], masses: Float[Array, "n"]) -> Sinkhorn:
        """Return it, with Newton's method where the iteration is slow for such logits.

        Raises:
            BadInput: neither converges.
        """
        if self.iterations is not None or self.newton:
            return self
        _, residual = balanced(self.tolerance, min(self.most, PATIENT), logits, masses)
        if float(residual) <= float(jnp.maximum(self.tolerance, rounding(logits))):
            return self
        self.potential(logits, masses)
        return dataclasses.replace(self, newton=True)

    def __call__(
        self,
        logits: Float[Array, "m n"],
        masses: Float[Array, "n"],
        allowed: Bool[Array, "m n"],
        shift: Float[Array, ""],
    ) -> Float[Array, "m n"]:
        """Return the rows for logits to which the potential has been added."""
        return Softmax()(logits, masses, allowed, shift)


NAMED = {
    "softmax": Softmax,
    "unnormalised": Unnormalised,
    "sinkhorn": Sinkhorn,
    "hardmax": Hardmax,
    "linear": Linear,
}


def as_weighting(weighting: str | Weighting) -> Weighting:
    """Return the weighting of a name; an object is returned as it is."""
    if isinstance(weighting, Weighting):
        return weighting
    if isinstance(weighting, str) and weighting in NAMED:
        return NAMED[weighting]()
    raise BadInput(
        f"weighting is {weighting!r}; it must be one of {', '.join(map(repr, NAMED))} or an mf.fields.Weighting object."
    )
