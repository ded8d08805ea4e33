"""What fast sums need to know of a kernel: that it is an exponential of the inner product, and which one."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

__all__ = ["Exponential"]


class Exponential(eqx.Module):
    r"""The kernel $w(x, y_j) = a_j e^{c \langle x, y_j\rangle - s}$, or $a_j e^{\langle x, M y_j\rangle - s}$ with a
    form M, over the atoms that may be seen.

    With `normalised`, each row is divided by its sum (softmax). A kernel that has this form says so by returning it
    from `Kernel.exponential()`.
    """

    #: the concentration `c`, of either sign: beta times the scalars of query and key; `None` where there is a form
    concentration: Float[Array, ""] | None
    #: the shift `s`, without meaning where rows are normalised
    shift: Float[Array, ""]
    normalised: bool = eqx.field(static=True)
    #: whether only atoms with `position_j <= position` are seen
    causal: bool = eqx.field(static=True)
    #: the form `M = beta Q^T K` where query or key are matrices
    form: Float[Array, "d d"] | None = None
    #: how many roundings of a unit a logit of the form may be off, as Q, K and M may cancel in parts
    roundings: Float[Array, ""] | None = None

    @property
    def number(self) -> Float[Array, ""]:
        """The concentration of a kernel without a form."""
        assert self.concentration is not None
        return self.concentration
