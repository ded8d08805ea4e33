"""A path: a measure at each depth, with what was recorded, how the run went and what it was made of."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from measureflow import observables
from measureflow.errors import BadInput
from measureflow.fields import Field
from measureflow.measures import Measure, Tokens
from measureflow.paths.certificate import Certificate, compare
from measureflow.paths.recipe import Recipe
from measureflow.spaces import Space, Sphere, is_traced

__all__ = ["STATUSES", "Merges", "Path"]

#: how a run can end; `Path.code` is the index
STATUSES = ("reached", "stationary", "blow-up", "unresolved", "stopped")


class Merges(eqx.Module):
    """The tree of merges along a path: who joined whom, and when.

    Attributes:
        since: `(n,)` time at which each token joined another; infinity where it never did.
        partner: `(n,)` the token that it joined; itself where it never did.
    """

    since: Float[Array, "n"]
    partner: Int[Array, "n"]

    @staticmethod
    def none(mu: Measure) -> Merges:
        """Return the empty tree, with a place for each token where there are tokens."""
        n = mu.n if isinstance(mu, Tokens) else 0
        return Merges(jnp.asarray(np.full(n, np.inf), float), jnp.asarray(np.arange(n), int))

    def __len__(self) -> int:
        return int(np.isfinite(np.asarray(self.since)).sum())

    def in_order(self) -> list[tuple[float, int, int]]:
        """Return the merges as (time, token, token that it joined), by time."""
        since, partner = np.asarray(self.since), np.asarray(self.partner)
        order = [int(k) for k in np.argsort(since, kind="stable") if np.isfinite(since[k])]
        return [(float(since[k]), k, int(partner[k])) for k in order]


class Path(eqx.Module):
    """A measure along depth.

    Attributes:
        times: `(s,)` depths: time of a flow, layer index of a network.
        measure: one measure whose leaves carry a leading axis over the kept states.
        kept: which of the times have their state kept (`keep=` of the run; all by default).
        recorded: name -> array with leading axis s, the observables of `record=`.
        merges: which tokens the run joined, where it coarsened; every token is shown in its place all the same.
        stats: how the run went: steps, evaluations, largest energy decrease, sphere defect, seconds, ...
        field: what moved it; `None` where the path was loaded and the field cannot be rebuilt.
        recipe: what it was made of.

    `path[k]` is the measure at the k-th kept state. Batched paths (from vmap) have batch axes before s.
    """

    times: Float[Array, "s"]
    measure: Measure
    kept: Int[Array, "k"]
    recorded: dict[str, Array]
    merges: Merges
    stats: dict[str, Any]
    code: Int[Array, ""]
    field: Field | tuple[Field, ...] | None
    recipe: Recipe = eqx.field(static=True)
    #: runs it again at other tolerances; only a path fresh from `flow` has one
    again: Callable[[float], Path] | None = eqx.field(static=True, default=None, repr=False)

    @property
    def space(self) -> Space:
        """Where the measure lives."""
        return self.measure.space

    @property
    def points(self) -> Float[Array, "s n d"]:
        """Points of the kept states of tokens."""
        return self.view("points")

    @property
    def weights(self) -> Float[Array, "s n"]:
        """Masses of the kept states of tokens."""
        return self.view("weights")

    @property
    def values(self) -> Float[Array, "s *m"]:
        """Values of the kept states of a density, on its grid."""
        return self.view("values")

    @property
    def mean(self) -> Float[Array, "s d"]:
        """Means of the kept states of a Gaussian."""
        return self.view("mean")

    @property
    def cov(self) -> Float[Array, "s d d"]:
        """Covariances of the kept states of a Gaussian."""
        return self.view("cov")

    def view(self, name: str) -> Array:
        """Return an array of the measure, with the axis of the kept states in front.

        Raises:
            BadInput: this kind of measure has none of that name.
        """
        if name not in self.measure.axes:
            raise BadInput(
                f"this is a path of a {type(self.measure).__name__}, which has no {name}; it has "
                f"{', '.join(self.measure.axes)}."
            )
        return getattr(self.measure, name)

    @property
    def tokens(self) -> Tokens:
        """The measure of a path of tokens.

        Raises:
            BadInput: it is a path of another kind of measure.
        """
        if not isinstance(self.measure, Tokens):
            raise BadInput(f"this is a path of a {type(self.measure).__name__}; tokens are needed here.")
        return self.measure

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The tokens' words."""
        return self.measure.labels if isinstance(self.measure, Tokens) else None

    @property
    def status(self) -> str:
        """How the run ended: one of `reached`, `stationary`, `blow-up`, `unresolved`, `stopped`."""
        if is_traced(self.code) or np.ndim(self.code):
            raise BadInput("status of a batched or traced path: read path.code, the index into mf.paths.STATUSES.")
        return STATUSES[int(self.code)]

    def with_field(self, field: Field | tuple[Field, ...]) -> Path:
        """Return the path with the field that moved it, for one that was loaded."""
        return dataclasses.replace(self, field=field)

    def with_status(self, status: str) -> Path:
        """Return the path with another status."""
        return dataclasses.replace(self, code=jnp.asarray(STATUSES.index(status)))

    def __len__(self) -> int:
        return self.view(next(iter(self.measure.axes))).shape[0]

    def __getitem__(self, k: int) -> Any:
        """Return the measure at the k-th kept state."""
        if not isinstance(k, (int, np.integer)):
            return jax.tree.map(lambda leaf: leaf[k], self.measure)
        if not -len(self) <= k < len(self):
            raise IndexError(f"state {k} of a path with {len(self)} kept states")
        leaves, structure = jax.tree.flatten(self.measure)
        return jax.tree.unflatten(structure, taken(leaves, int(k) % len(self)))

    def at(self, time: float) -> Any:
        """Return the measure at the kept state whose time is nearest to `time`."""
        return self[int(np.argmin(np.abs(np.asarray(self.times)[np.asarray(self.kept)] - time)))]

    @property
    def energy(self) -> Float[Array, "s"]:
        r"""The reporting energy $\bar E$ along `times`, where one is proved for the field.

        Raises:
            BadInput: no energy is proved, or the states were not kept and the energy not recorded.
        """
        if "energy" in self.recorded:
            return self.recorded["energy"]
        if not (isinstance(self.field, Field) and self.field.energy_on(self.space)):
            raise BadInput(
                "no energy is proved for this path (it needs a measure on a sphere, a symmetric form, V = ± that form "
                "and no mask). Name a functional: mf.observe.energy(path, beta=...)."
            )
        self.need_all("energy")
        if isinstance(self.measure, Tokens):
            return observables.energy(self, field=self.field)
        return along(_energy, self.field, self.measure)

    @property
    def clusters(self) -> Int[Array, "s"]:
        """Number of clusters along `times`: components of the graph of tokens nearer than delta = 1e-3 in cosine.

        For another threshold: `mf.observe.clusters(path, delta=...)`.
        """
        if "clusters" in self.recorded:
            return jnp.asarray(getattr(self.recorded["clusters"], "count", self.recorded["clusters"]))
        self.need_all("clusters")
        return observables.clusters(self).count

    @property
    def membership(self) -> Int[Array, "s n"]:
        """Cluster index of every token along `times` (-1 where not present), as in `clusters`."""
        self.need_all("clusters")
        return observables.clusters(self).membership

    @property
    def plateaus(self) -> observables.Plateaus:
        """How long the path has each number of clusters, see `mf.observe.plateaus`."""
        return observables.plateaus(self)

    def certify(self) -> Certificate:
        """Run again at a tenth of the tolerance (and of the merge distance) and say which conclusions hold.

        Raises:
            BadInput: the path is not fresh from `flow`, or not all of its states were kept.

        Example:
            >>> import measureflow as mf
            >>> tokens, field = mf.uniform(mf.Sphere(3), n=12, seed=0), mf.SelfAttention(beta=2.0)
            >>> mf.flow(tokens, field, until=20.0, save=10).certify().holds["clusters"]
            True
        """
        _ = self.tokens
        if self.again is None:
            raise BadInput("certify: a loaded path cannot run again by itself; call flow(...) with the same arguments.")
        self.need_all("clusters")
        return compare(self, self.again(0.1), 0.1)

    def need_all(self, name: str) -> None:
        """Raise `BadInput` unless every state was kept."""
        if len(self) != self.times.shape[0]:
            raise BadInput(
                f"{len(self)} of {self.times.shape[0]} states were kept: {name} along all times needs "
                f"record=({name!r},) or keep='all' in the run."
            )

    def on_sphere(self) -> Path:
        """Return the directions `x/|x|` of a Euclidean path, as a path on the sphere. Absent tokens stay put."""
        if isinstance(self.space, Sphere):
            return self
        sphere = Sphere(self.space.d)
        tokens = self.tokens
        largest = jnp.max(jnp.abs(tokens.points), axis=-1, keepdims=True)
        if not is_traced(largest) and bool(jnp.any((largest[..., 0] == 0) & tokens.present)):
            raise BadInput("a token at the origin has no direction; on_sphere() needs non-zero tokens.")
        axis = jnp.zeros(self.space.d, self.points.dtype).at[0].set(1)
        # scaled first: the square of what blew up is infinite
        points = sphere.project(jnp.where(largest > 0, self.points / jnp.where(largest > 0, largest, 1), axis))
        return eqx.tree_at(lambda p: p.measure, self, tokens.replace(space=sphere, points=points))

    def to_xarray(self) -> Any:
        """Return an `xarray.Dataset` with dimensions depth and those of the measure: of tokens, token and coordinate.

        xarray is imported here.
        """
        from measureflow.paths.export import to_xarray

        return to_xarray(self)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the path to a Zarr store; a folder that exists is left as it is unless `overwrite=True`.

        Raises:
            BadInput: the folder exists.
        """
        from measureflow.paths.store import save

        save(self, folder, overwrite=overwrite)

    @staticmethod
    def load(folder: str | os.PathLike[str]) -> Path:
        """Read a path that was written by `save` or by a run with `store=` (finished or not).

        Raises:
            BadInput: no such store, or one that was not written by this library.
        """
        from measureflow.paths.store import load

        return load(folder)

    def plot(self, file: str | os.PathLike[str] | None = None) -> Any:
        """Draw the measure along depth; return the matplotlib figure, and write it to `file`."""
        from measureflow.paths.plots import plot

        return plot(self, file)

    def animate(self, file: str | os.PathLike[str], **options: Any) -> Any:
        """Write the path as a GIF (`frames=80, seconds=8.0, dpi=90, progress=False`); return the file's path.

        Frames are kept states at equal steps of depth, of its logarithm where the run spans decades; see
        `mf.paths.animation.animate`.

        Example:
            >>> import measureflow as mf
            >>> path = mf.flow(mf.uniform(mf.Sphere(3), n=12, seed=0), mf.SelfAttention(beta=4.0), until=1e3)
            >>> path.animate("run.gif", frames=3, dpi=40).name
            'run.gif'
        """
        from measureflow.paths.animation import animate

        return animate(self, file, **options)

    def __repr__(self) -> str:
        from measureflow.paths.export import summary

        return summary(self)


def _energy(field: Field, mu: Any) -> Array:
    return field.energy(mu)


@eqx.filter_jit
def along(observable: Any, field: Any, measure: Measure) -> Any:
    """Apply `observable(field, mu)` to every state, one after the other, in one compiled program."""
    return jax.lax.map(lambda mu: observable(field, mu), measure)


@jax.jit
def taken(leaves: list[Array], k: Array) -> list[Array]:
    """Return the k-th entries, by one program for all arrays and every `k`."""
    return [leaf[k] for leaf in leaves]
