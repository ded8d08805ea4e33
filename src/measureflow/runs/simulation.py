"""A simulation in words: the tokens, field and times of one flow, as a recipe file or flags say them."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any, Self

import jax

from measureflow.errors import BadInput
from measureflow.fields import (
    NGPT,
    Field,
    MixLN,
    Normalisation,
    PeriLN,
    PostLN,
    PreLN,
    SelfAttention,
    SqrtLN,
    Unnormalised,
)
from measureflow.flows import Adaptive, Splitting, flow
from measureflow.flows.layers import checked_normalisation
from measureflow.flows.noisy import as_noise
from measureflow.measures import Tokens, cap, equiangular, gaussian, uniform, von_mises_fisher
from measureflow.paths import Path
from measureflow.runs.files import check_keys, read_recipe
from measureflow.spaces import Euclidean, Space, Sphere
from measureflow.sums import Sum

__all__ = ["Simulation"]

#: which keys each law of the initial tokens takes beside n and seed
LAWS: dict[str, tuple[str, ...]] = {
    "uniform": (),
    "cap": ("angle",),
    "von_mises_fisher": ("kappa",),
    "equiangular": ("cosine",),
    "gaussian": ("covariance",),
}
#: where the norm stands, and the number that some of these take
SCHEMES: dict[str, tuple[type[Normalisation], str | None]] = {
    "post": (PostLN, None),
    "pre": (PreLN, None),
    "peri": (PeriLN, None),
    "mix": (MixLN, "switch"),
    "ngpt": (NGPT, "alpha"),
    "sqrt": (SqrtLN, None),
}
#: under these tokens have a radius: those of a sphere begin on it and leave it
WITH_RADIUS = ("pre", "peri", "mix")
SPACES = {"sphere": Sphere, "euclidean": Euclidean}


@dataclasses.dataclass(frozen=True)
class Simulation:
    """One flow, said in plain values. Each field is a key of a recipe file, and a flag of `measureflow flow`.

    Attributes:
        n, dim, seed: number of tokens, ambient dimension, seed of their law.
        space: `"sphere"` (the unit sphere of R^dim) or `"euclidean"`.
        law: `"uniform"`, `"cap"` (angle=), `"von_mises_fisher"` (kappa=), `"equiangular"` (cosine=) or `"gaussian"`
            (covariance=, a number).
        beta, query, key, value, weighting, mask: of `mf.SelfAttention`; matrices are lists of rows. `weighting` may
            be `"shifted"` too, the unnormalised model with its clock slowed by e^beta. Hardmax looks at no beta.
        normalisation: `"post"`, `"pre"`, `"peri"`, `"mix"` (switch=), `"ngpt"` (alpha=) or `"sqrt"`. Under `"pre"`,
            `"peri"` and `"mix"` tokens of a sphere begin on it, and leave it.
        noise: as in `mf.flow`, under `"post"` or without a norm; step: of `mf.Splitting`, by which it is followed.
        until, save, record: of `mf.flow`.
        rtol, atol: of `mf.Adaptive`.
    """

    n: int = 200
    dim: int = 3
    beta: float = 9.0
    until: float = 1e8
    seed: int = 0
    space: str = "sphere"
    law: str = "uniform"
    angle: float | None = None
    kappa: float | None = None
    cosine: float | None = None
    covariance: float | None = None
    query: Any = None
    key: Any = None
    value: Any = None
    weighting: str = "softmax"
    mask: str | None = None
    normalisation: str | None = None
    switch: float | None = None
    alpha: float | None = None
    noise: float | None = None
    step: float | None = None
    save: int = 200
    record: tuple[str, ...] = ()
    rtol: float = 1e-8
    atol: float = 1e-10

    @classmethod
    def keys(cls) -> list[str]:
        """Return the names that a recipe may use."""
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def of(cls, table: dict[str, Any], where: str = "recipe") -> Self:
        """Return the simulation of a table of keys.

        Raises:
            BadInput: an unknown key (the nearest known one is named), or a value of the wrong kind.
        """
        check_keys(table, cls.keys(), where)
        for field in dataclasses.fields(cls):
            if field.name in table:
                check_kind(field.name, table[field.name], str(field.type), where)
        if "record" in table:
            table = {**table, "record": tuple(table["record"])}
        return cls(**table)

    @classmethod
    def read(cls, file: str | os.PathLike[str]) -> Self:
        """Return the simulation of a `.toml` or `.json` file.

        Raises:
            BadInput: as `read_recipe` and `of`.
        """
        return cls.of(read_recipe(file), str(file))

    def changed(self, **values: Any) -> Self:
        """Return the simulation with some values put in place of its own."""
        return dataclasses.replace(self, **values)

    def to_toml(self) -> str:
        """Return the recipe file of this simulation: every key, so that later defaults change nothing."""
        lines = ["# measureflow flow THIS_FILE --out DIR runs it again"]
        for name in self.keys():
            value = getattr(self, name)
            if value is not None:
                # of these values TOML and JSON have the same spelling, but for tuples and floats without a point
                lines.append(f"{name} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
        return "\n".join(lines) + "\n"

    def where(self) -> Space:
        """Return the space.

        Raises:
            BadInput: an unknown space or a dimension that it does not have.
        """
        if self.space not in SPACES:
            raise BadInput(f"space is {self.space!r}; it must be one of {', '.join(map(repr, SPACES))}.")
        return SPACES[self.space](self.dim)

    def tokens(self, seed: Any = None) -> Tokens:
        """Draw the initial tokens, with another seed or a JAX key where one is given.

        Raises:
            BadInput: an unknown law, a missing parameter or one that the law does not have, and what the law says.
        """
        if self.law not in LAWS:
            raise BadInput(f"law is {self.law!r}; it must be one of {', '.join(map(repr, LAWS))}.")
        own = LAWS[self.law]
        for name in {name for names in LAWS.values() for name in names}:
            if getattr(self, name) is not None and name not in own:
                raise BadInput(f"{name} is {getattr(self, name)}, and the law {self.law!r} has none; leave it out.")
            if getattr(self, name) is None and name in own and name != "covariance":
                raise BadInput(f"the law {self.law!r} needs {name}; give it.")
        space: Any = self.where()
        if self.law == "equiangular":
            return self.placed(equiangular(space, self.n, cosine=float(self.cosine or 0.0)))
        law = {"uniform": uniform, "cap": cap, "von_mises_fisher": von_mises_fisher, "gaussian": gaussian}[self.law]
        given = {name: getattr(self, name) for name in own if getattr(self, name) is not None}
        return self.placed(law(space, self.n, seed=self.seed if seed is None else seed, **given))

    def placed(self, drawn: Tokens) -> Tokens:
        """Return tokens in the space in which they move."""
        return Tokens(Euclidean(self.dim), drawn.points) if self.leaves else drawn

    @property
    def leaves(self) -> bool:
        """Whether tokens leave the sphere on which they are drawn."""
        return self.space == "sphere" and self.normalisation in WITH_RADIUS

    def field(self, sum: Sum | None = None) -> Field:
        """Return the self-attention; `sum` as in `mf.SelfAttention`.

        Raises:
            BadInput: what `mf.SelfAttention` says.
        """
        weighting = Unnormalised(shifted=True) if self.weighting == "shifted" else self.weighting
        beta = None if self.weighting == "hardmax" else self.beta
        return SelfAttention(
            beta,
            query=self.query,
            key=self.key,
            value=self.value,
            weighting=weighting,
            mask=None if self.mask == "none" else self.mask,
            sum=sum,
        )

    def scheme(self) -> Normalisation | None:
        """Return the normalisation.

        Raises:
            BadInput: an unknown one, a missing number or one that it does not take, and what it says itself.
        """
        if self.normalisation is not None and self.normalisation not in SCHEMES:
            raise BadInput(
                f"normalisation is {self.normalisation!r}; it must be one of {', '.join(map(repr, SCHEMES))}."
            )
        kind, own = (None, None) if self.normalisation is None else SCHEMES[self.normalisation]
        for name in ("switch", "alpha"):
            if getattr(self, name) is not None and name != own:
                raise BadInput(
                    f"{name} is {getattr(self, name)}, and normalisation is {self.normalisation!r}; drop it."
                )
        if kind is None:
            return None
        if own == "switch" and self.switch is None:
            raise BadInput("normalisation 'mix' needs switch, the depth at which Pre-LN begins; give it.")
        number = None if own is None else getattr(self, own)
        scheme = kind() if number is None else kind(number)  # pyright: ignore[reportCallIssue]
        scheme = checked_normalisation("flow", scheme, Euclidean(self.dim) if self.leaves else self.where())
        if self.noise and not scheme.shakes:
            raise BadInput(f"noise is {self.noise}, and it has no meaning under {scheme!r}; use 'post', or no norm.")
        return scheme

    def solver(self, **options: Any) -> Adaptive | Splitting:
        """Return the solver, with options of `mf.Adaptive` where there is no noise.

        Raises:
            BadInput: a step without noise, a noise that is none, and what the solver says.
        """
        if as_noise(self.noise or 0.0, self.seed) is None:
            if self.step is not None and self.noise is None:  # an axis of noise may begin at 0
                raise BadInput(f"step is {self.step}, and there is no noise; a flow without it chooses its own steps.")
            return Adaptive(self.rtol, self.atol, **options)
        return Splitting() if self.step is None else Splitting(self.step)

    def check(self) -> None:
        """Make everything once, so that what is wrong with it is said.

        Raises:
            BadInput: as `tokens`, `field`, `scheme` and `solver`.
        """
        self.tokens()
        self.field()
        self.scheme()
        self.solver()

    def run(self, *, store: str | os.PathLike[str] | None = None, progress: Any = False) -> Path:
        """Run the flow; arguments as in `mf.flow`.

        Raises:
            BadInput: before any work starts, where a value is bad.
        """
        return flow(
            self.tokens(),
            self.field(),
            until=self.until,
            save=self.save,
            record=self.record,
            normalisation=self.scheme(),
            solver=self.solver(),
            noise=self.noise or 0.0,
            seed=key_of_noise(jax.random.key(self.seed)) if self.noise else None,
            store=store,
            progress=progress,
        )


def key_of_noise(key: Any) -> Any:
    """Return the key of the noise of a run whose tokens are drawn by a key."""
    return jax.random.fold_in(key, 1)


def check_kind(name: str, value: Any, kind: str, where: str) -> None:
    """Raise `BadInput` unless a value is of the kind its field declares."""
    said = {"int": "an integer", "float": "a number", "str": "a word", "tuple": "a list of names"}
    base = kind.split("[")[0].split(" ")[0]
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        "int": whole,
        "float": whole or isinstance(value, float),
        "str": isinstance(value, str),
        "tuple": isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value),
    }
    if base in fits and not fits[base]:
        raise BadInput(f"{where}: {name} is {value!r}; it must be {said[base]}.")
