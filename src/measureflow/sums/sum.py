"""What a pair sum promises: `sum_j w(x, y_j) g(y_j)` over the atoms of a measure, with a known error."""

from __future__ import annotations

import abc

import equinox as eqx
from jaxtyping import Array, Float, Int

from measureflow.measures import Tokens
from measureflow.sums.exponential import Exponential
from measureflow.sums.tilted import Tilted

__all__ = ["Kernel", "Sum"]


class Kernel(eqx.Module):
    """Weights `w(x, y_j)` from queries to the atoms of a measure; only those of linear attention may be negative."""

    @abc.abstractmethod
    def weights(self, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens) -> Float[Array, "m n"]:
        """Return the rows of weights; `rank` are the queries' places in the text, `None` where no mask looks."""

    def exponential(self) -> Exponential | None:
        """Return what the kernel is where it is an exponential of the inner product, which fast sums can use."""
        return None

    def tilted(self, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens) -> Tilted | None:
        """Return the kernel's parts where it is an exponential of any logit, which tiles of pairs can use."""
        return None


class Sum(eqx.Module):
    """A way to compute pair sums. Its error is relative to the largest entry of the result."""

    @abc.abstractmethod
    def attend(
        self,
        kernel: Kernel,
        x: Float[Array, "m d"],
        rank: Int[Array, "m"] | None,
        mu: Tokens,
        values: Float[Array, "n v"],
    ) -> Float[Array, "m v"]:
        """Return `sum_j w(x, y_j) values_j`."""

    @abc.abstractmethod
    def pull(
        self, kernel: Kernel, x: Float[Array, "m d"], rank: Int[Array, "m"] | None, mu: Tokens
    ) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Return `sum_j w(x, y_j) (y_j - x)` with full relative precision, and the total weight `sum_j w(x, y_j)`."""

    @abc.abstractmethod
    def floor(self, kernel: Kernel, mu: Tokens) -> Float[Array, ""]:
        """Return a bound on the absolute error of `pull` at mu's own tokens: slower motion is not resolved.

        0 where `pull` has full relative precision.
        """

    @abc.abstractmethod
    def settled(self, kernel: Kernel, mu: Tokens) -> Sum:
        """Return this sum with all that is chosen from values (a degree, a cutoff, itself) chosen for `mu`.

        What is settled can be traced. Called on the host, with values that can be looked at.
        """

    @abc.abstractmethod
    def explain(self, kernel: Kernel, mu: Tokens) -> str:
        """Say in a line or two how the pairs of `mu` would be summed, why, and with which error."""
