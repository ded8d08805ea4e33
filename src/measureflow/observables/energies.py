"""Energies of a measure, how fast a field changes them, and the cluster number that they stand for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field, SelfAttention, Sinkhorn, Softmax, Unnormalised
from measureflow.fields.harmonics import kernel_energy as spectral_energy
from measureflow.fields.kernel import checked_beta
from measureflow.fields.matrices import apply
from measureflow.measures import Density, Tokens, as_tokens
from measureflow.observables.along import along, field_of, measure_of
from measureflow.spaces import Sphere, is_traced
from measureflow.sums import Exact, squared_distances

__all__ = ["dissipation", "energy", "participation", "raw_dissipation", "raw_energy"]

#: the measures that have these energies
KINDS = (Tokens, Density)


def energy(subject: Any, beta: Any = None, *, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return the energy $\bar E = \sum_{ij} a_i a_j e^{\beta(\langle x_i, x_j\rangle - 1)}$, in (0, 1].

    Summed from differences, as $e^{-\beta|x_i - x_j|^2/2}$, in memory linear in n. For K tight clusters of
    masses $m_q$ and large beta it is near $\sum_q m_q^2$. In Euclidean space the formula in differences is
    meant: the energy of a Gaussian kernel (take `path.on_sphere()` for the energy of directions).

    Main arguments:
        subject: a measure, or a path (then one value per saved depth).
        beta: inverse temperature >= 0, or else
        field: the field whose own energy is meant, with its form `B = Q^T K`.

    Raises:
        BadInput: beta is no inverse temperature; both or neither of beta and field are given; no energy is
            proved for the field.

    Source: dynamics of [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 3.3, in the
        normalisation that
    stays in (0, 1] for every beta.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import energy
        >>> float(energy(mf.equiangular(n=4, cosine=1.0), beta=9.0))
        1.0
    """
    if (beta is None) == (field is None):
        raise BadInput("energy: give one of beta= (a number) and field= (whose own energy is meant).")
    if field is None:
        return along(kernel_energy, subject, KINDS, beta=checked_beta(beta, Softmax()))
    check_energy(field, subject)
    return along(energy_under, subject, KINDS, field=field)


def raw_energy(subject: Any, beta: Any = None, *, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return $E_\beta = \frac{1}{2\beta} \sum_{ij} a_i a_j e^{\beta\langle x_i, x_j\rangle}$, as in papers.

    Equal to $e^\beta \bar E / 2\beta$ with $\bar E$ of `energy`. With `field` it is that of the field's own form; at
    beta = 1 and the form D that is $\frac12\int\!\!\int e^{\langle x, Dy\rangle}d\mu\,d\mu$.

    Raises:
        BadInput: both or neither of beta and field; beta is 0 (the energy is undefined), or above 700 (it overflows),
            or the space is no sphere; no energy is proved for the field.

    Source: [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), (3.4);
        [arXiv:2501.03096](https://arxiv.org/abs/2501.03096) for a form.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import raw_energy
        >>> round(float(raw_energy(mf.equiangular(n=4, cosine=1.0), beta=0.5)), 6)
        1.648721
    """
    if (beta is None) == (field is None):
        raise BadInput("raw_energy: give one of beta= (a number) and field= (whose own energy is meant).")
    if field is not None:
        if not isinstance(field, SelfAttention):
            raise BadInput(f"raw_energy needs a single SelfAttention, not {type(field).__name__}. Use energy.")
        beta = field.beta
        check_energy(field, subject)
    beta = checked_beta(beta, Unnormalised(shifted=True))
    if not isinstance(measure_of(subject, KINDS).space, Sphere):
        raise BadInput(
            f"raw_energy is one of unit vectors; the space is {measure_of(subject, KINDS).space!r}. Use on_sphere()."
        )
    if not is_traced(beta):
        if float(beta) == 0.0:
            raise BadInput("raw_energy: beta is 0, where 1/(2 beta) is undefined. Use energy, which is 1 there.")
        check_overflow(beta, "raw_energy")
    scaled = energy(subject, beta) if field is None else energy(subject, field=field)
    return jnp.exp(beta) / (2.0 * beta) * scaled


def participation(subject: Any, beta: Any = None, *, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return $1/\bar E$: for K tight clusters of equal mass and large beta, their number K.

    Arguments and errors are those of `energy`; the energy of Sinkhorn counts nothing and is refused.
    """
    if field is not None and balances(field):
        raise BadInput("participation: the energy of Sinkhorn is no number of clusters; give beta= in place of field=.")
    return 1.0 / energy(subject, beta, field=field)


def dissipation(subject: Any, *, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return $d\bar E/dt$ along a field, by the identity that holds for it: the speed of `energy`.

    $$ \frac{d\bar E}{dt} = 2\beta s \sum_i a_i \bar z_i |v_i|^2, \qquad
       \bar z_i = \sum_k a_k e^{\beta(\langle x_i, B x_k\rangle - 1)} $$

    for softmax attention with symmetric `B = Q^T K` and `V = sB`, `s = ±1`; unnormalised attention has
    $e^{-\beta}$ in place of $\bar z_i$ and its shifted form 1. Under Sinkhorn, on any space, $F^\infty$ has
    $\frac{d}{dt}F^\infty = \beta s \sum_i a_i |v_i|^2$. A field of another kind that has an energy gets its derivative
    along the velocity.

    Main arguments:
        subject: a measure on a sphere, or a path.
        field: the field; a path's own if not given.

    Raises:
        BadInput: no energy is proved for the field, or the tokens are not on a sphere.

    Source: [arXiv:2312.10794](https://arxiv.org/abs/2312.10794), section 3.3; with masses and forms, derived
        here.

    Example:
        >>> import measureflow as mf
        >>> from measureflow.observables import dissipation
        >>> tokens = mf.uniform(mf.Sphere(3), n=10, seed=0)
        >>> bool(dissipation(tokens, field=mf.SelfAttention(beta=9.0)) > 0)
        True
    """
    field = field_of("dissipation", subject, field)
    check_energy(field, subject)
    space = measure_of(subject, KINDS).space
    if not (isinstance(space, Sphere) or balances(field)):
        raise BadInput(f"dissipation: the identity holds on a sphere and the space is {space!r}.")
    return along(energy_rate, subject, KINDS, field=field, sign=sign_of(field))


def raw_dissipation(subject: Any, *, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return $dE_\beta/dt = s \sum_i a_i z_i |v_i|^2$ along attention, the speed of `raw_energy`.

    Here $z_i = \sum_k a_k e^{\beta\langle x_i, B x_k\rangle}$ for softmax attention and 1 for the
    unnormalised one: it is $e^\beta/2\beta$ times `dissipation`, and defined at beta = 0.

    Raises:
        BadInput: as `dissipation`; the field is no single self-attention; beta is above 700, where it
            overflows.
    """
    field = field_of("raw_dissipation", subject, field)
    if not isinstance(field, SelfAttention):
        raise BadInput(f"raw_dissipation needs a single SelfAttention, not {type(field).__name__}. Use dissipation.")
    if balances(field):
        raise BadInput("raw_dissipation is the speed of raw_energy, which Sinkhorn does not have. Use dissipation.")
    check_energy(field, subject)
    if not is_traced(field.beta):
        check_overflow(field.beta, "raw_dissipation")
    sign = sign_of(field)
    if sign is None:
        raise BadInput("raw_dissipation: the sign of V = ±B is unknown under tracing. Use dissipation.")
    return jnp.exp(field.beta) * along(weighted_speed, subject, KINDS, field=field, sign=sign)


def kernel_energy(mu: Tokens | Density, beta: Array) -> Array:
    """Return the reporting energy of one measure."""
    if isinstance(mu, Density):
        return spectral_energy(mu, beta, beta)
    return mu.weights @ neighbours(mu, beta)


def neighbours(mu: Tokens, beta: Array) -> Array:
    """Return `sum_k a_k e^(-beta |x_i - x_k|^2 / 2)` for every token, block by block."""

    def row(x: Array, _: None) -> Array:
        return jnp.exp(-0.5 * beta * squared_distances(x, mu.points)) @ mu.weights

    return Exact().over_blocks(row, mu.points, None, mu.n)


def energy_under(mu: Tokens | Density, field: Field) -> Array:
    """Return the field's own energy."""
    return field.energy(mu)


def energy_rate(mu: Tokens | Density, field: Field, sign: Array | None) -> Array:
    """Return the rate of the reporting energy of one measure."""
    mu = as_tokens(mu)
    if isinstance(field, SelfAttention) and sign is not None:
        return 2.0 * field.beta * weighted_speed(mu, field, sign)
    velocity = field(mu.points, mu)
    return jax.jvp(lambda points: field.energy(mu.replace(points=points)), (mu.points,), (velocity,))[1]


def weighted_speed(mu: Tokens | Density, field: SelfAttention, sign: Array) -> Array:
    """Return `s sum_i a_i w_i |v_i|^2`, with `2 beta w_i v_i` the gradient of the energy."""
    mu = as_tokens(mu)
    velocity = field(mu.points, mu)
    speed = jnp.sum(velocity * velocity, axis=-1)
    if balances(field):
        return 0.5 * sign * jnp.sum(mu.weights * speed)
    kernel, weighting = field.kernel, field.kernel.weighting
    if isinstance(weighting, Unnormalised):
        factor = jnp.ones_like(speed) if weighting.shifted else jnp.exp(-field.beta) * jnp.ones_like(speed)
    elif kernel.query is None and kernel.key is None:
        factor = neighbours(mu, field.beta)
    else:

        def row(x: Array, _: None) -> Array:
            score = apply(kernel.query, x) @ apply(kernel.key, mu.points).T
            return jnp.exp(field.beta * (score - 1.0)) @ mu.weights

        factor = Exact().over_blocks(row, mu.points, None, mu.n)
    return sign * jnp.sum(mu.weights * factor * speed)


def balances(field: Field) -> bool:
    """Tell whether the field is doubly stochastic attention, whose energy is another."""
    return isinstance(field, SelfAttention) and isinstance(field.kernel.weighting, Sinkhorn)


def check_energy(field: Field, subject: Any) -> None:
    """Raise what a field without energy says; where values cannot be seen, trust the caller."""
    if not is_traced(field) and not field.energy_sign:
        field.energy(measure_of(subject, KINDS))


def sign_of(field: Field) -> Array | None:
    """Return s of `V = sB`, or `None` for no single attention or one whose values cannot be seen."""
    form = field.form if isinstance(field, SelfAttention) else None
    return None if form is None else jnp.asarray(form[1])


def check_overflow(beta: Array, name: str) -> None:
    """Raise `BadInput` where `e^beta` is no double."""
    if float(beta) > 700.0:
        raise BadInput(f"{name}: beta is {float(beta):g} and e^beta overflows above 700; use {name[4:]}.")
