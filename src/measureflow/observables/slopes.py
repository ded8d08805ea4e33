r"""The metric in which attention descends or ascends: mobility, speed, slope, and whether the energy's books balance.

Softmax attention is a gradient flow for the metric $\int Z_\mu |v|^2 d\mu$ with mobility $\mu/Z_\mu$, attention without
a denominator for the plain one.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from measureflow.errors import BadInput
from measureflow.fields import Field, SelfAttention, Softmax, Unnormalised
from measureflow.fields.matrices import apply
from measureflow.measures import Tokens
from measureflow.observables.along import along, field_of, measure_of
from measureflow.observables.energies import check_energy, raw_dissipation, raw_energy
from measureflow.observables.jacobians import derivative, velocity_of
from measureflow.spaces import is_traced

__all__ = ["EnergyBalance", "asymmetry", "energy_balance", "metric_slope", "metric_speed", "mobility", "partition"]


class EnergyBalance(eqx.Module):
    r"""Both sides of the energy-dissipation identity along a path.

    Attributes:
        times: of the kept states.
        energy: $E(\mu_t)$, see `raw_energy`.
        dissipated: $\int_0^t \frac{dE}{dt}$ of `raw_dissipation`, by Simpson's rule over those times.
        residual: `energy - energy[0] - dissipated`: of order 4 in the distance of the times.
    """

    times: Float[Array, "s"]
    energy: Float[Array, "s"]
    dissipated: Float[Array, "s"]
    residual: Float[Array, "s"]


def partition(subject: Any, *, field: Field | None = None) -> Float[Array, "*s n"]:
    r"""Return the partition function at every token, $Z_\mu(x_i) = \sum_k a_k e^{\beta\langle Qx_i, Kx_k\rangle}$.

    A mean over the tokens: for equal masses it is 1/n times the sum of the exponentials. It overflows above
    logits of 700.

    Main arguments:
        subject: a measure, or a path. field: the attention meant; a path's own if not given.

    Raises:
        BadInput: the field is no single self-attention without a mask, softmax or unnormalised.

    Source: [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> import measureflow as mf
        >>> field = mf.gradient_attention([[1.0, 0.0], [0.0, -1.0]])
        >>> pair = mf.Tokens(mf.Sphere(2), [[0.0, 1.0], [0.0, -1.0]])
        >>> mf.observe.partition(pair, field=field).round(6).tolist()  # cosh(1)
        [1.543081, 1.543081]
    """
    return along(partition_of, subject, field=attending("partition", subject, field))


def mobility(subject: Any, *, field: Field | None = None) -> Float[Array, "*s n"]:
    r"""Return the masses of the mobility measure: $a_i / Z_\mu(x_i)$ under softmax, $a_i$ without a denominator.

    The flow is $\dot\mu + \operatorname{div}(m_\mu w) = 0$ with $w = P_x\int Vy\,e^{\langle x,Dy\rangle}d\mu$.

    Arguments, errors and source are those of `partition`.

    Example:
        >>> import measureflow as mf
        >>> field = mf.gradient_attention([[1.0, 0.0], [0.0, 2.0]])
        >>> mf.observe.mobility(mf.Tokens(mf.Sphere(2), [[1.0, 0.0]]), field=field).round(6)  # 1/e
        Array([0.367879], dtype=float64)
    """
    return along(mobility_of, subject, field=attending("mobility", subject, field))


def metric_speed(subject: Any, *, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return how fast the measure moves in the field's metric, $(\int M_\mu |v|^2 d\mu)^{1/2}$.

    M is the partition function Z under softmax and 1 without a denominator ($e^\beta$ if shifted). Any values V and any
    form are allowed. Along a gradient flow it equals `metric_slope`, and its square is the speed of the energy.

    Arguments, errors and source are those of `partition`.
    """
    return along(speed_of, subject, field=attending("metric_speed", subject, field))


def metric_slope(subject: Any, *, field: Field | None = None) -> Float[Array, "*s"]:
    r"""Return the slope of the energy in the field's metric.

    $$ |\partial E| = \frac1\beta\Big(\int \frac{|\nabla Z_\mu|^2}{M_\mu}\,d\mu\Big)^{1/2} $$

    E is that of `raw_energy`, and M is as in `metric_speed`. The form must be symmetric; the values may be anything,
    and then $|dE/dt|$ is at most the slope times the speed.

    Raises:
        BadInput: as `partition`; a form that is not symmetric; beta = 0.

    Source: [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> import measureflow as mf
        >>> tokens, D = mf.uniform(mf.Sphere(3), n=10, seed=0), [[1.0, 0.3, 0.0], [0.3, -1.0, 0.0], [0.0, 0.0, 0.5]]
        >>> field = mf.gradient_attention(D, sign=-1)
        >>> float(mf.observe.metric_slope(tokens, field=field) - mf.observe.metric_speed(tokens, field=field)) < 1e-12
        True
    """
    field = attending("metric_slope", subject, field)
    if not is_traced(field):
        query, key = (np.eye(1) if m is None else np.asarray(m) for m in (field.kernel.query, field.kernel.key))
        form = query * key if np.ndim(query) == 0 or np.ndim(key) == 0 or 1 in (query.size, key.size) else query.T @ key
        if np.ndim(form) == 2 and not np.allclose(form, form.T, rtol=1e-12, atol=1e-14):
            raise BadInput("metric_slope: the form Q^T K is not symmetric, and there is no energy to have a slope.")
        if float(field.beta) == 0.0:
            raise BadInput("metric_slope: beta is 0, where the energy does not depend on the tokens.")
    return along(slope_of, subject, field=field)


def energy_balance(path: Any, *, field: Field | None = None) -> EnergyBalance:
    r"""Return both sides of the energy-dissipation identity along a path of the field.

    $$ E(\mu_t) - E(\mu_0) = \pm\int_0^t\!\int M_\mu |v|^2\,d\mu\,d\tau
       = \pm\tfrac12\int_0^t \left(|\dot\mu|^2 + |\partial E|^2\right) d\tau $$

    with $M = Z_\mu$ under softmax and 1 without a denominator. The integral is taken over the kept times by Simpson's
    rule: give the flow evenly spaced `save=` for a residual of order 4.

    Raises:
        BadInput: no path with at least three kept states; no energy is proved for the field.

    Source: [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> import numpy as np
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=8, seed=0), mf.gradient_attention(np.diag([1.0, -1.0, 0.5]))
        >>> path = mf.flow(tokens, field, until=1.0, save=np.linspace(0.0, 1.0, 41))
        >>> bool(abs(mf.observe.energy_balance(path).residual[-1]) < 1e-7)
        True
    """
    from scipy.integrate import cumulative_simpson  # imported when used: it is slow to import

    mu = measure_of(path)
    times = np.asarray(getattr(path, "times", np.zeros(0)))[np.asarray(getattr(path, "kept", []), int)]
    if mu.points.ndim != 3 or len(times) < 3:
        raise BadInput("energy_balance: give one path with at least three kept states (keep='all').")
    field = attending("energy_balance", path, field)
    check_energy(field, path)
    energy, rate = np.asarray(raw_energy(path, field=field)), np.asarray(raw_dissipation(path, field=field))
    dissipated = cumulative_simpson(rate, x=times, initial=0.0)
    residual = energy - energy[0] - dissipated
    return EnergyBalance(*map(jnp.asarray, (times, energy, dissipated, residual)))


def asymmetry(subject: Any, *, field: Field | None = None, metric: str = "plain") -> Float[Array, "*s"]:
    r"""Return how far the tokens' velocities are from a gradient: $\|J - J^T\| / \|J\|$, 0 for a gradient flow.

    J is the Jacobian, in orthonormal tangent vectors, of $x \mapsto (a_i M_i(x) v_i(x))_i$: the velocities as a
    one-form on the product of n spheres, which is exact where they are the gradient of a function.

    Main arguments:
        subject: a measure, or a path. field: any field; a path's own if not given.
        metric: `"plain"`, M = 1, the test for Wasserstein gradient flows; `"partition"`, M = Z of `partition`, which is
            differentiated too, the test for the metric with mobility $\mu/Z_\mu$.

    Raises:
        BadInput: another metric; a field that changes with depth or, with `"partition"`, is no single attention.

    Source: table of gradient flows of [arXiv:2110.11773](https://arxiv.org/abs/2110.11773);
        [arXiv:2501.03096](https://arxiv.org/abs/2501.03096).

    Example:
        >>> import numpy as np
        >>> import measureflow as mf
        >>> tokens, field = mf.uniform(mf.Sphere(3), n=5, seed=0), mf.gradient_attention(np.diag([1.0, -1.0, 0.5]))
        >>> bool(mf.observe.asymmetry(tokens, field=field) > 0.01)
        True
        >>> bool(mf.observe.asymmetry(tokens, field=field, metric="partition") < 1e-12)
        True
    """
    if metric not in ("plain", "partition"):
        raise BadInput(f"asymmetry: metric is {metric!r}; it must be 'plain' or 'partition'.")
    field = field_of("asymmetry", subject, field)
    if not field.autonomous:
        raise BadInput(f"asymmetry: {field!r} changes with depth; give the field at one depth, field.at(t).")
    if metric == "plain":
        return along(plain_asymmetry, subject, field=field)
    return along(weighted_asymmetry, subject, field=attending("asymmetry", subject, field))


def attending(name: str, subject: Any, field: Field | None) -> SelfAttention:
    """Return the field, which must be one attention with a partition function."""
    field = field_of(name, subject, field)
    known = isinstance(field, SelfAttention) and isinstance(field.kernel.weighting, (Softmax, Unnormalised))
    if not isinstance(field, SelfAttention) or not known or field.kernel.mask is not None:
        raise BadInput(
            f"{name} needs a single SelfAttention, softmax or unnormalised and without a mask, and the field is "
            f"{field!r}."
        )
    return field


def partition_at(x: Float[Array, "m d"], mu: Tokens, field: SelfAttention) -> Float[Array, "m"]:
    """Return the partition function at queries."""
    kernel, beta = field.kernel, field.kernel.beta.astype(x.dtype)
    keys = apply(kernel.key, jnp.where(mu.present[:, None], mu.points, 0))
    masses = jnp.where(mu.present, mu.weights, 0)
    return jnp.exp(beta * kernel.score(apply(kernel.query, x), keys)) @ masses


def partition_of(mu: Tokens, field: SelfAttention) -> Float[Array, "n"]:
    """Return the partition function at the tokens."""
    return partition_at(mu.points, mu, field)


def inertia(mu: Tokens, field: SelfAttention) -> Float[Array, "n"]:
    """Return M: what a token's squared speed counts in the field's metric, per mass."""
    weighting = field.kernel.weighting
    if isinstance(weighting, Unnormalised):
        return jnp.full(mu.n, jnp.exp(field.beta) if weighting.shifted else 1.0)
    return partition_of(mu, field)


def mobility_of(mu: Tokens, field: SelfAttention) -> Float[Array, "n"]:
    """Return the mobility of one measure."""
    return jnp.where(mu.present, mu.weights, 0) / inertia(mu, field)


def speed_of(mu: Tokens, field: SelfAttention) -> Float[Array, ""]:
    """Return the metric speed of one measure."""
    velocity = velocity_of(mu, field, mu.points)
    return jnp.sqrt(jnp.sum(mu.weights * inertia(mu, field) * jnp.sum(velocity * velocity, axis=1)))


def slope_of(mu: Tokens, field: SelfAttention) -> Float[Array, ""]:
    """Return the metric slope of one measure."""
    # every row depends on its own query alone
    gradient = jax.grad(lambda x: jnp.sum(partition_at(x, mu, field)))(mu.points)
    gradient = mu.space.tangent(mu.points, gradient) / field.beta
    return jnp.sqrt(jnp.sum(mu.weights * jnp.sum(gradient * gradient, axis=1) / inertia(mu, field)))


def plain_asymmetry(mu: Tokens, field: Field) -> Float[Array, ""]:
    """Return the asymmetry of the velocities times the masses."""
    return asymmetry_of(derivative(mu, lambda points: mu.weights[:, None] * velocity_of(mu, field, points)))


def weighted_asymmetry(mu: Tokens, field: SelfAttention) -> Float[Array, ""]:
    """Return the asymmetry of the velocities times masses and partition function."""

    def motion(points: Array) -> Array:
        moved = mu.replace(points=points)
        return (mu.weights * partition_of(moved, field))[:, None] * velocity_of(mu, field, points)

    return asymmetry_of(derivative(mu, motion))


def asymmetry_of(matrix: Float[Array, "m m"]) -> Float[Array, ""]:
    """Return the part of a matrix that is not symmetric, twice over; 0 for the zero matrix."""
    size = jnp.linalg.norm(matrix)
    return jnp.where(size > 0, jnp.linalg.norm(matrix - matrix.T) / jnp.where(size > 0, size, 1.0), 0.0)
