"""Tokens that lie on several hosts: how each host reads all of them, and what the hosts must agree on.

Every host runs the same program, as `jax.distributed` has it. Within one process nothing here does anything.
"""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from measureflow.spaces import is_traced

__all__ = ["agreed", "gathered", "on_host", "spans_hosts"]

Tree = TypeVar("Tree")


def spans_hosts(tree: Any) -> bool:
    """Tell whether some array of a tree has parts that this host cannot read."""
    return any(is_elsewhere(leaf) for leaf in jax.tree.leaves(tree))


def is_elsewhere(leaf: Any) -> bool:
    """Tell whether parts of an array lie on another host alone."""
    if not isinstance(leaf, jax.Array) or is_traced(leaf):
        return False
    return not (leaf.is_fully_addressable or leaf.is_fully_replicated)


def on_host(leaf: Any) -> np.ndarray:
    """Return the whole of an array in this host's memory."""
    if not is_elsewhere(leaf):
        return np.asarray(leaf)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(leaf, tiled=True))


def gathered(tree: Tree) -> Tree:
    """Return a tree all of whose arrays lie on this host; one that does already is returned as it is."""
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(lambda leaf: jnp.asarray(on_host(leaf)) if isinstance(leaf, jax.Array) else leaf, tree)


def agreed(*numbers: int) -> tuple[int, ...]:
    """Return the numbers of the first host: what follows from a host's own clock must not differ between hosts."""
    from jax.experimental import multihost_utils

    return tuple(int(number) for number in multihost_utils.broadcast_one_to_all(np.asarray(numbers)))
