"""What fast sums need to know of a kernel: that it is an exponential of the inner product, and which one."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float

__all__ = ["Exponential"]


class Exponential(eqx.Module):
    r"""The kernel $w(x, y_j) = a_j e^{c \langle x, y_j\rangle - s}$ over the atoms that may be seen.

    With `normalised`, each row is divided by its sum (softmax). A kernel that has this form says so by returning it
    from `Kernel.exponential()`.
    """

    #: the concentration `c`, of either sign: beta times the scalars of query and key
    concentration: Float[Array, ""]
    #: the shift `s`, without meaning where rows are normalised
    shift: Float[Array, ""]
    normalised: bool = eqx.field(static=True)
    #: whether only atoms with `position_j <= position` are seen
    causal: bool = eqx.field(static=True)
