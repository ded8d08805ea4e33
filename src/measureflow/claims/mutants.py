"""Mutants of the core against the claims: each well-known error is put in, and the claims must notice.

A mutant that no claim kills is a hole in the claims; a claim that kills no mutant is suspect.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from measureflow.claims.checking import chosen, examine
from measureflow.claims.claim import Claim
from measureflow.claims.results import Result
from measureflow.errors import BadInput
from measureflow.fields.kernel import AttentionKernel
from measureflow.fields.masks import Causal
from measureflow.fields.weightings import Softmax, Unnormalised
from measureflow.flows import segment
from measureflow.spaces import Sphere

__all__ = ["MUTANTS", "SHORT", "Cell", "Mutant", "MutantTable", "against_mutants"]


@dataclasses.dataclass(frozen=True)
class Mutant:
    """An error of the core: one of its functions replaced.

    Arguments:
        owner, attribute: where the function lives. wrong: makes the wrong function from the right one.
        concerns: tells from a call's arguments whether the error would matter to it.
    """

    name: str
    what: str
    owner: Any
    attribute: str
    wrong: Callable[[Callable[..., Any]], Callable[..., Any]]
    concerns: Callable[..., bool] = lambda *args, **kwargs: True

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Put the error in for the length of a block; nothing compiled before or inside survives the borders."""
        with replaced(self.owner, self.attribute, self.wrong):
            yield


@contextlib.contextmanager
def replaced(owner: Any, attribute: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Replace a function of a class or module, and put it back."""
    kept, function = vars(owner)[attribute], getattr(owner, attribute)
    jax.clear_caches()
    setattr(owner, attribute, make(function))
    try:
        yield
    finally:
        setattr(owner, attribute, kept)
        jax.clear_caches()


def projection_dropped(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let the tangent part of a vector be the vector."""
    return lambda self, x, v: v


def stages_frozen(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let every stage of a Runge-Kutta step see the first velocity."""

    def wrong(pair: Any, velocity: Any, space: Any, x: Any, first: Any, t: Any, h: Any, *options: Any) -> Any:
        step = right(pair, lambda moved, when: first, space, x, first, t, h, *options)
        return step._replace(velocity=velocity(step.new, t + h))

    return wrong


def masses_missing(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let every token pull with mass 1 under USA."""

    def wrong(self: Unnormalised, logits: Any, masses: Any, allowed: Any, beta: Any) -> Any:
        return right(self, logits, jnp.where(masses > 0, 1.0, 0.0).astype(masses.dtype), allowed, beta)

    return wrong


def sign_flipped(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let tokens repel."""
    return lambda self, x, rank, mu: -right(self, x, rank, mu)


def query_and_key_exchanged(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let the query matrix act on keys and the key matrix on queries."""

    def wrong(self: AttentionKernel, x: Any, rank: Any, mu: Any) -> Any:
        exchanged = dataclasses.replace(self, query=self.key, key=self.query)
        return right(exchanged, x, rank, mu)

    return wrong


def beta_ignored(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let beta be 1."""

    def wrong(self: AttentionKernel, x: Any, rank: Any, mu: Any) -> Any:
        return right(eqx.tree_at(lambda kernel: kernel.beta, self, jnp.ones_like(self.beta)), x, rank, mu)

    return wrong


def diagonal_lost(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let a causal token see what stands before it, and not itself."""
    return lambda self, query, key: key[None, :] < query[:, None]


def exponential_unshifted(right: Callable[..., Any]) -> Callable[..., Any]:
    """Let the largest logit stay in the exponential."""

    def wrong(self: Softmax, logits: Any, masses: Any, allowed: Any, beta: Any) -> Any:
        raised = jnp.where(allowed, masses * jnp.exp(logits), 0)
        return raised / jnp.sum(raised, axis=1, keepdims=True)

    return wrong


def has_matrices(self: AttentionKernel, *_: Any) -> bool:
    """Tell whether a kernel has a query or a key matrix."""
    return self.query is not None or self.key is not None


#: the errors that every one of the older scripts shows somewhere, and their neighbours
MUTANTS = (
    Mutant("projection dropped", "velocities are not projected on the tangent space", Sphere, "tangent",
           projection_dropped),
    Mutant("frozen stages", "all stages of a Runge-Kutta step see the first velocity", segment,
           "runge_kutta_step", stages_frozen),
    Mutant("1/n missing", "the unnormalised sum runs without its masses", Unnormalised, "__call__", masses_missing),
    Mutant("wrong sign", "tokens repel where they should attract", AttentionKernel, "weights", sign_flipped),
    Mutant("Q and K transposed", "query and key matrices change places", AttentionKernel, "weights",
           query_and_key_exchanged, has_matrices),
    Mutant("beta ignored", "the inverse temperature is always 1", AttentionKernel, "weights", beta_ignored),
    Mutant("diagonal lost", "the causal mask is j < i", Causal, "__call__", diagonal_lost),
    Mutant("unshifted exp", "softmax without taking the largest logit out", Softmax, "__call__",
           exponential_unshifted),
)  # fmt: skip


#: three cheap claims that between them kill every one of the mutants: the page of a report
SHORT = ("2312.10794/V1", "2312.10794/V28", "2411.04990/V8")


@dataclasses.dataclass(frozen=True)
class Cell:
    """What a claim did with a mutant: `"killed"`, `"survived"` or `"not applicable"`, and how it noticed."""

    outcome: str
    how: str = ""


@dataclasses.dataclass(frozen=True)
class MutantTable:
    """Mutants against claims.

    Main attributes:
        cells: a `Cell` for each `(mutant name, claim id)`.
        holes: mutants that no claim killed; suspects: claims that killed none.
    """

    mutants: tuple[Mutant, ...]
    claims: tuple[Claim, ...]
    cells: dict[tuple[str, str], Cell]
    seconds: float
    tier: str
    seed: int

    @property
    def holes(self) -> list[str]:
        """Mutants that no claim killed."""
        return [mutant.name for mutant in self.mutants if not self.kills(mutant=mutant.name)]

    @property
    def suspects(self) -> list[str]:
        """Claims that killed no mutant."""
        return [claim.id for claim in self.claims if not self.kills(claim=claim.id)]

    def kills(self, *, mutant: str | None = None, claim: str | None = None) -> int:
        """Count the killed cells, of one mutant or one claim."""
        return sum(
            cell.outcome == "killed" and mutant in (None, row) and claim in (None, column)
            for (row, column), cell in self.cells.items()
        )

    def to_json(self) -> dict[str, Any]:
        """Return the table as plain objects."""
        return {
            "mutants": [{"name": mutant.name, "what": mutant.what} for mutant in self.mutants],
            "claims": [claim.id for claim in self.claims],
            "cells": [
                {"mutant": row, "claim": column, **dataclasses.asdict(cell)}
                for (row, column), cell in self.cells.items()
            ],
            "holes": self.holes,
            "suspects": self.suspects,
            "seconds": self.seconds,
            "tier": self.tier,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        signs = {"killed": "x", "survived": "o", "not applicable": "."}
        wide = max(len(claim.id) for claim in self.claims)
        names = [f"{k + 1}. {mutant.name}: {mutant.what}" for k, mutant in enumerate(self.mutants)]
        head = " " * wide + "".join(f" {k + 1:2}" for k in range(len(self.mutants)))
        rows = [
            f"{claim.id:{wide}}"
            + "".join(f"  {signs[self.cells[mutant.name, claim.id].outcome]}" for mutant in self.mutants)
            for claim in self.claims
        ]
        notes = [f"x killed, o survived, . not applicable; {self.seconds:.0f} s"]
        notes += [f"hole: no claim kills the mutant {name!r}" for name in self.holes]
        notes += [f"suspect: {name} kills no mutant" for name in self.suspects]
        return "\n".join([*names, "", head, *rows, "", *notes])


def against_mutants(
    wanted: Any = None,
    *,
    mutants: Sequence[Mutant] = MUTANTS,
    tier: str = "smoke",
    seed: int = 0,
    progress: Callable[[int, int, str], Any] | None = None,
) -> MutantTable:
    """Run claims with errors put into the core, and return who noticed which.

    First every claim runs on the unharmed core, where it must be consistent, and it is noted which pieces it uses: a
    mutant of a piece that a claim never calls is not applicable to it. Then every mutant meets every claim that it
    concerns. A claim kills a mutant when it is no longer consistent.

    Arguments:
        wanted: claims as in `mf.check`; `None` is every claim of the tier; `mutants.SHORT` is a quick choice.
        mutants: default, the eight of `MUTANTS`.
        tier, seed, progress: as in `mf.check`.

    Raises:
        BadInput: a claim that is not consistent on the unharmed core, an unknown name or tier.
    """
    claims = chosen(wanted, tier)
    began = time.perf_counter()
    cells: dict[tuple[str, str], Cell] = {}
    done, total = 0, (1 + len(mutants)) * len(claims)

    def tell(title: str) -> None:
        if progress is not None:
            progress(done, total, title)

    for claim in claims:
        tell(f"{claim.title}, unharmed")
        for name in pieces_used(claim, mutants, tier, seed):
            cells[name, claim.id] = Cell("survived")
        done += 1
    for mutant in mutants:
        with mutant.applied(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a mutant divides by zero and overflows as it likes
            for claim in claims:
                tell(f"{mutant.name}: {claim.title}")
                if (mutant.name, claim.id) in cells:
                    cells[mutant.name, claim.id] = cell_of(examine(claim, tier=tier, seed=seed, mutations=False))
                else:
                    cells[mutant.name, claim.id] = Cell("not applicable")
                done += 1
    tell("")
    return MutantTable(tuple(mutants), tuple(claims), cells, time.perf_counter() - began, tier, seed)


def pieces_used(claim: Claim, mutants: Sequence[Mutant], tier: str, seed: int) -> set[str]:
    """Return the names of the mutants whose piece the claim calls, on an unharmed core."""
    used: set[str] = set()

    def watched(mutant: Mutant) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def make(right: Callable[..., Any]) -> Callable[..., Any]:
            def watching(*args: Any, **kwargs: Any) -> Any:
                if mutant.concerns(*args, **kwargs):
                    used.add(mutant.name)
                return right(*args, **kwargs)

            return watching

        return make

    with contextlib.ExitStack() as stack:
        for mutant in mutants:
            stack.enter_context(replaced(mutant.owner, mutant.attribute, watched(mutant)))
        result = examine(claim, tier=tier, seed=seed, mutations=False)
    if result.verdict != "consistent":
        raise BadInput(f"mutants: {claim.id} is {result.verdict} on the unharmed core ({'; '.join(result.notes)}).")
    return used


def cell_of(result: Result) -> Cell:
    """Return whether a claim noticed the mutant under which it ran."""
    if result.verdict == "consistent":
        return Cell("survived")
    return Cell("killed", "; ".join(result.notes))
