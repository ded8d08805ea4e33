"""Self-attention as a velocity field, and several heads of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow.errors import BadInput
from measureflow.fields.balancing import centred, log_means
from measureflow.fields.field import Field, check_queries, ranks_of, total
from measureflow.fields.gaussians import attention_on_gaussian
from measureflow.fields.harmonics import at_atoms, kernel_energy
from measureflow.fields.kernel import AttentionKernel, check_growth, check_mask, check_shapes, checked_beta
from measureflow.fields.masks import Mask, as_mask
from measureflow.fields.matrices import Matrix, apply, as_matrix, is_scalar, product
from measureflow.fields.scores import Dot, Score, as_score
from measureflow.fields.weightings import Hardmax, Sinkhorn, Softmax, Unnormalised, Weighting, as_weighting
from measureflow.measures import Density, Gaussian, Measure, Tokens
from measureflow.spaces import Space, Sphere, is_traced
from measureflow.sums import Automatic, Exact, Sum, squared_distances

__all__ = ["MultiHead", "SelfAttention"]


class SelfAttention(Field):
    r"""Self-attention as a velocity: every query is pulled towards what it attends to.

    $$ A(x; \mu) = \frac{\int V y \, e^{\beta \langle Qx, Ky \rangle} \, d\mu(y)}
                        {\int e^{\beta \langle Qx, Ky \rangle} \, d\mu(y)}, \qquad v(x; \mu) = P_x A(x; \mu) $$

    With `weighting="softmax"` and no matrices this is the SA model, with `"unnormalised"` (numerator alone) the USA
    model of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (2.2) and (2.5).

    Main arguments:
        beta: inverse temperature, >= 0. Hardmax has none; linear attention takes it as a factor, 1 by default.
        query, key: `(k, d)` matrices, or numbers for multiples of the identity; `None` is the identity.
        value: `(d, d)` matrix or number; `None` is the identity.

    Other arguments:
        score: `"dot"`, `"l2"` or a `Score` object.
        weighting: `"softmax"`, `"unnormalised"`, `"sinkhorn"`, `"hardmax"`, `"linear"` or a `Weighting` object.
        mask: `None`, `"causal"` or a `Mask` object.
        sum: how the pair sum is computed; `None` is `mf.sums.Automatic()`, which chooses by cost and error.

    Raises:
        BadInput: beta missing, negative, NaN or too large for the weighting, or given to hardmax; matrices of wrong
            shape; unknown names.

    Example:
        >>> import measureflow as mf
        >>> tokens = mf.uniform(mf.Sphere(3), n=5, seed=0)
        >>> mf.SelfAttention(beta=9.0)(tokens.points, tokens).shape
        (5, 3)
    """

    kernel: AttentionKernel
    value: Matrix
    sum: Sum = eqx.field(static=True)

    def __init__(
        self,
        beta: Any = None,
        *,
        query: Any = None,
        key: Any = None,
        value: Any = None,
        score: str | Score = "dot",
        weighting: str | Weighting = "softmax",
        mask: str | Mask | None = None,
        sum: Sum | None = None,
    ) -> None:
        chosen, scored = as_weighting(weighting), as_score(score)
        self.kernel = AttentionKernel(
            beta=checked_beta(beta, chosen, scored.largest),
            query=as_matrix(query, "query"),
            key=as_matrix(key, "key"),
            score=scored,
            weighting=chosen,
            mask=as_mask(mask),
        )
        self.value = as_matrix(value, "value")
        if sum is not None and not isinstance(sum, Sum):
            raise BadInput(f"sum is {sum!r}; it must be None or an object such as mf.sums.Exact().")
        self.sum = Automatic() if sum is None else sum
        check_shapes(self.kernel.query, self.kernel.key, self.value)
        check_growth(self.kernel)
        check_mask(self.kernel)

    @property
    def beta(self) -> Float[Array, ""]:
        """Inverse temperature; infinite for hardmax."""
        return jnp.asarray(jnp.inf) if isinstance(self.kernel.weighting, Hardmax) else self.kernel.beta

    def output(
        self, x: Float[Array, "m d"], mu: Measure, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        r"""Return the raw sum $A(x;\mu) = \sum_j w(x, y_j) V y_j$; a density is summed over a quadrature."""
        self.check_dimension(x, mu)
        if isinstance(mu, Gaussian):
            shift, slope = self.affine(mu)
            return shift + x @ slope.T
        mu = self.at_atoms(mu)
        rank = ranks_of(self, x, mu, positions)
        return apply(self.value, self.sum.attend(self.kernel.on(mu), x, rank, mu, mu.points))

    def __call__(
        self, x: Float[Array, "m d"], mu: Measure, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        r"""Return the velocity, summed in difference form.

        $P_x \sum_j w_j V y_j = P_x V \sum_j w_j (y_j - x) + (\sum_j w_j) P_x V x$, and the last term vanishes on the
        sphere where `V` is a multiple of the identity: speeds of 1e-200 keep their digits.
        """
        return self.output(x, mu) if isinstance(mu, Gaussian) else self.output_and_velocity(x, mu, positions)[1]

    def output_and_velocity(
        self, x: Float[Array, "m d"], mu: Measure, positions: Int[Array, "m"] | None = None
    ) -> tuple[Float[Array, "m d"], Float[Array, "m d"]]:
        r"""Return both from one sum in difference form: $A = V \sum_j w_j (y_j - x) + (\sum_j w_j) V x$."""
        self.check_dimension(x, mu)
        mu = self.at_atoms(mu)
        pulled, weight = self.sum.pull(self.kernel.on(mu), x, ranks_of(self, x, mu, positions), mu)
        moved, own = apply(self.value, pulled), weight[:, None] * apply(self.value, x)
        velocity = mu.space.tangent(x, moved)
        if not (is_scalar(self.value) and isinstance(mu.space, Sphere)):
            velocity = velocity + weight[:, None] * mu.space.tangent(x, apply(self.value, x))
        return moved + own, velocity

    def affine(self, mu: Gaussian) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
        """Return `b` and `B` of the velocity under a Gaussian, see `attention_on_gaussian`."""
        closed = attention_on_gaussian(mu, self.kernel, self.value)
        if closed is None:
            raise BadInput(
                f"{self!r} has no closed form under a Gaussian, which softmax, linear and Sinkhorn attention without a "
                f"mask have; draw tokens from it with gaussian.sample(n)."
            )
        return closed

    def weights(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m n"]:
        """Return the attention matrix from the queries `x` to the atoms of `mu` (quadratic memory)."""
        self.check_dimension(x, mu)
        return self.kernel.weights(x, ranks_of(self, x, mu, positions), mu)

    def potentials(self, mu: Measure) -> tuple[Float[Array, "n"], Float[Array, "n"]]:
        r"""Return f and g on the atoms of `mu` under Sinkhorn, whose weights are $e^{c(x,y) + f(x) + g(y)}\,d\mu(y)$.

        Their means agree, $\int f d\mu = \int g d\mu$; for a symmetric score f = g.

        Raises:
            BadInput: the weighting is not Sinkhorn run to convergence, or it does not converge.
        """
        if not (isinstance(self.kernel.weighting, Sinkhorn) and self.kernel.weighting.converges):
            raise BadInput(f"{self!r} has no potentials; those of weighting='sinkhorn' balance rows and columns.")
        mu = self.at_atoms(mu)
        g = self.kernel.on(mu).potential
        assert g is not None
        points, masses = jnp.where(mu.present[:, None], mu.points, 0), jnp.where(mu.present, mu.weights, 0)
        return centred(-log_means(self.kernel.logits(points, points) + g, masses), g, masses)

    def at_atoms(self, mu: Measure) -> Tokens:
        """Return the atoms over which a measure is summed; a density must have as many as the kernel asks for."""
        return at_atoms(mu, None if isinstance(mu, Tokens) else self.kernel.exponential(), positional=self.positional)

    def check_dimension(self, x: Array, mu: Measure) -> None:
        """Raise `BadInput` where the queries are not in the space of `mu`, or a matrix does not act on it."""
        check_queries(x, mu)
        for name, matrix in (("query", self.kernel.query), ("key", self.kernel.key), ("value", self.value)):
            if matrix is not None and matrix.ndim == 2 and matrix.shape[1] != mu.d:
                raise BadInput(
                    f"{name} has shape {matrix.shape} and the tokens are in R^{mu.d}; give a matrix (.., {mu.d})."
                )

    def energy(self, mu: Any) -> Float[Array, ""]:
        r"""Return $\bar E = \sum_{ij} a_i a_j e^{\beta(\langle x_i, B x_j\rangle - 1)}$ with `B = Q^T K`.

        Monotone along the flow on the sphere where `B` is symmetric and `V = ±B`, without a mask: it rises for `V = B`
        and falls for `V = -B` (arXiv:2312.10794, section 3.3). Under Sinkhorn it is
        $F^\infty = -\frac12 \iint k \log(k/e^c)\, d\mu\, d\mu = -\int f\, d\mu$ (arXiv:2110.11773), in Euclidean space
        too.
        """
        if not self.may_have_energy or (not is_traced(self.matrices) and self.form is None):
            return super().energy(mu)
        if isinstance(self.kernel.weighting, Sinkhorn):
            mu = self.at_atoms(mu)
            f, g = self.potentials(mu)
            return -0.5 * jnp.sum(jnp.where(mu.present, mu.weights * (f + g), 0))
        if not isinstance(mu.space, Sphere):
            raise BadInput(f"SelfAttention has its energy on a sphere and the tokens live in {mu.space!r}.")
        exponential = self.kernel.exponential()
        if isinstance(mu, Density) and exponential is not None and exponential.form is None:
            return kernel_energy(mu, exponential.number, self.kernel.beta)
        mu = self.at_atoms(mu)
        points, masses = mu.atoms()
        beta = self.kernel.beta.astype(points.dtype)
        kernel = dataclasses.replace(self.kernel, weighting=Unnormalised(shifted=True))
        ones = jnp.ones((mu.n, 1), points.dtype)
        made = self.sum.planned(kernel, points, None, mu, ones) if isinstance(self.sum, Automatic) else None
        fast = made.sum if made is not None else self.sum
        if not isinstance(fast, (Automatic, Exact)):
            return masses @ fast.attend(kernel, points, None, mu, ones)[:, 0]
        if self.kernel.query is None and self.kernel.key is None:

            def row(x: Array, _: None) -> Array:
                # from differences: near tokens would lose digits in beta (<x,y> - 1)
                return jnp.exp(-0.5 * beta * squared_distances(x, points)) @ masses
        else:

            def row(x: Array, _: None) -> Array:
                return jnp.exp(beta * (apply(self.kernel.query, x) @ apply(self.kernel.key, points).T - 1.0)) @ masses

        return masses @ Exact().over_blocks(row, points, None, points.shape[0])

    @property
    def matrices(self) -> tuple[Matrix, Matrix, Matrix]:
        """Query, key and value."""
        return self.kernel.query, self.kernel.key, self.value

    @property
    def may_have_energy(self) -> bool:
        """Whether score, weighting and mask admit an energy; the matrices are looked at in `form`."""
        weighting = self.kernel.weighting
        known = isinstance(weighting, (Softmax, Unnormalised)) or (
            isinstance(weighting, Sinkhorn) and weighting.converges
        )
        return known and isinstance(self.kernel.score, Dot) and self.kernel.mask is None

    @property
    def form(self) -> tuple[np.ndarray | float, float] | None:
        """Return the symmetric form `B = Q^T K` and the sign s with `V = s B`, or `None` where there is none."""
        if not self.may_have_energy:
            return None
        if all(matrix is None for matrix in self.matrices):
            return 1.0, 1.0
        if is_traced(self.matrices):
            return None  # values cannot be compared under tracing
        query, key, value = (1.0 if matrix is None else np.asarray(matrix) for matrix in self.matrices)
        form = product(np.transpose(query), key)
        if np.ndim(form) == 2 and not np.allclose(form, np.transpose(form), rtol=1e-12, atol=1e-14):
            return None
        wide = value * np.eye(np.shape(form)[0]) if np.ndim(form) == 2 and np.ndim(value) == 0 else value
        form = form * np.eye(np.shape(wide)[0]) if np.ndim(wide) == 2 and np.ndim(form) == 0 else form
        for sign in (1.0, -1.0):
            if np.allclose(wide, sign * form, rtol=1e-12, atol=1e-14):
                return form, sign
        return None

    @property
    def energy_sign(self) -> int:
        """The sign s where `B = Q^T K` is symmetric with `V = s B` and nothing is masked, else 0."""
        form = self.form
        return 0 if form is None else int(form[1])

    def energy_on(self, space: Space) -> bool:
        """Whether there is one on that space: under Sinkhorn on any."""
        return self.energy_sign != 0 and (isinstance(space, Sphere) or isinstance(self.kernel.weighting, Sinkhorn))

    @property
    def positional(self) -> bool:
        """Whether there is a mask."""
        return self.kernel.mask is not None

    @property
    def isotropic(self) -> bool:
        """Whether query, key and value are multiples of the identity."""
        return all(is_scalar(matrix) for matrix in self.matrices)

    def __repr__(self) -> str:
        kernel = self.kernel
        parts = [] if isinstance(kernel.weighting, Hardmax) else [f"beta={show(kernel.beta)}"]
        for name, matrix in (("query", kernel.query), ("key", kernel.key), ("value", self.value)):
            if matrix is not None:
                parts.append(f"{name}={show(matrix)}")
        if not isinstance(kernel.score, Dot):
            parts.append(f"score={kernel.score!r}")
        if not isinstance(kernel.weighting, Softmax):
            parts.append(f"weighting={kernel.weighting!r}")
        if kernel.mask is not None:
            parts.append(f"mask={kernel.mask!r}")
        return f"SelfAttention({', '.join(parts)})"


class MultiHead(Field):
    r"""Several heads side by side: $A(x;\mu) = \sum_h A_h(x;\mu)$, each with its own query, key and value.

    Example:
        >>> import measureflow as mf
        >>> mf.MultiHead([mf.SelfAttention(beta=1.0), mf.SelfAttention(beta=4.0, value=-0.5)])
        MultiHead([SelfAttention(beta=1), SelfAttention(beta=4, value=-0.5)])
    """

    heads: tuple[Field, ...]

    def __init__(self, heads: Sequence[Field]) -> None:
        self.heads = tuple(heads) if isinstance(heads, Sequence) else ()
        if not self.heads or any(not isinstance(head, Field) for head in self.heads):
            raise BadInput(
                f"MultiHead: heads are {heads!r}; give a non-empty list of fields such as SelfAttention(...)."
            )

    def output(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the sum of the heads' outputs."""
        return total([head.output(x, mu, positions) for head in self.heads])

    def __call__(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> Float[Array, "m d"]:
        """Return the sum of the heads' velocities."""
        return total([head(x, mu, positions) for head in self.heads])

    def output_and_velocity(
        self, x: Float[Array, "m d"], mu: Tokens, positions: Int[Array, "m"] | None = None
    ) -> tuple[Float[Array, "m d"], Float[Array, "m d"]]:
        """Return the sums of both over the heads."""
        outputs, velocities = zip(*(head.output_and_velocity(x, mu, positions) for head in self.heads), strict=True)
        return total(list(outputs)), total(list(velocities))

    def affine(self, mu: Gaussian) -> tuple[Float[Array, "d"], Float[Array, "d d"]]:
        """Return the sums over the heads."""
        shifts, slopes = zip(*(head.affine(mu) for head in self.heads), strict=True)
        return total(list(shifts)), total(list(slopes))

    def at(self, t: Any) -> Field:
        """Return the heads at depth `t`."""
        return self if self.autonomous else MultiHead([head.at(t) for head in self.heads])

    @property
    def autonomous(self) -> bool:
        """Whether every head is the same at every depth."""
        return all(head.autonomous for head in self.heads)

    @property
    def breaks(self) -> tuple[float, ...]:
        """The jumps of all heads."""
        return tuple(sorted({time for head in self.heads for time in head.breaks}))

    @property
    def positional(self) -> bool:
        """Whether any head looks at positions."""
        return any(head.positional for head in self.heads)

    @property
    def isotropic(self) -> bool:
        """Whether every head commutes with rotations."""
        return all(head.isotropic for head in self.heads)

    def __repr__(self) -> str:
        return f"MultiHead([{', '.join(map(repr, self.heads))}])"


def show(value: Any) -> str:
    """Return a number in short, and a matrix by its shape."""
    if is_traced(value):
        return "traced"
    return f"{float(value):g}" if np.ndim(value) == 0 else f"<{'x'.join(map(str, np.shape(value)))}>"
