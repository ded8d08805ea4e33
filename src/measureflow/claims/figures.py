"""Published figures, drawn again with their own parameters: by id, one function each."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from measureflow.claims.case import Case
from measureflow.claims.claim import check_tier
from measureflow.claims.parameters import Parameter, check_names, parameters_of
from measureflow.claims.recipes import command_of
from measureflow.claims.registry import Shelf
from measureflow.claims.results import plain
from measureflow.errors import BadInput
from measureflow.measures import as_key
from measureflow.paths.style import house, write

__all__ = ["PublishedFigure", "draw_figure", "figure", "figures", "find_figures"]

Draw = Callable[[Case], Any]


@dataclasses.dataclass(frozen=True)
class PublishedFigure:
    """A figure of a paper as a function of a case. Made by `@figure(...)`.

    Main attributes:
        id: `paper/fig-3`; paper, item: arXiv id and the figure's name in it.
        covers: papers that show it too, by which it is found.
        what: the parameters, and what one sees (the function's docstring).
        kind: `"svg"`, or `"png"` where points are many.
    """

    id: str
    slug: str
    title: str
    what: str
    paper: str
    item: str
    kind: str
    draw: Draw
    covers: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that draws it with the published parameters."""
        return f"measureflow figure {self.id} --tier full"

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What a user may set, with its published value or where it comes from otherwise."""
        return parameters_of(self.draw)

    def __repr__(self) -> str:
        return f"PublishedFigure({self.id}: {self.title})"


SHELF: Shelf[PublishedFigure] = Shelf("figure", "figure")


def figure(
    paper: str,
    item: str,
    *,
    title: str | None = None,
    kind: str = "svg",
    id: str | None = None,
    also: tuple[str, ...] = (),
) -> Callable[[Draw], PublishedFigure]:
    """Turn a function `(case)` that returns a Matplotlib figure into a published figure that goes by its name.

    It runs inside the house's style; `case.tier` says how large: `"smoke"` within seconds, `"standard"` within
    minutes, `"full"` with every parameter and sample size as published. Its docstring gives the parameters and says
    what one sees.

    Main arguments:
        paper: arXiv id. item: the figure's name in it, such as `"Fig. 3"`.

    Other arguments:
        title: default, the function's name in words.
        kind: `"png"` where points are many.
        id: default, `paper/fig-3`.
        also: papers that show the same figure.

    Raises:
        BadInput: no docstring, or an id that another figure has.
    """

    def turn(draw: Draw) -> PublishedFigure:
        slug = draw.__name__.replace("_", "-")
        what = inspect.getdoc(draw) or ""
        if not what:
            raise BadInput(f"figure {slug}: say its parameters and what one sees in the docstring.")
        made = PublishedFigure(
            id=id or f"{paper}/{re.sub(r'[^a-z0-9]+', '-', item.lower()).strip('-')}",
            slug=slug,
            title=title or draw.__name__.replace("_", " "),
            what=what,
            paper=paper,
            item=item,
            kind=kind,
            draw=draw,
            covers=also,
        )
        SHELF.add(made, draw)
        return made

    return turn


def figures() -> list[PublishedFigure]:
    """Return every published figure that can be drawn, in order of definition.

    Example:
        >>> import measureflow as mf
        >>> all(one.what and one.command for one in mf.claims.figures())
        True
    """
    return SHELF.all()


def find_figures(wanted: Any = None) -> list[PublishedFigure]:
    """Return the figures that an id, a paper, a name or several of these stand for.

    Raises:
        BadInput: nothing goes by that name; the nearest names are given.
    """
    return SHELF.find(wanted)


def draw_figure(
    wanted: PublishedFigure | str,
    file: str | os.PathLike[str] | None = None,
    *,
    tier: str = "smoke",
    seed: int = 0,
    parameters: Mapping[str, Any] | None = None,
) -> Any:
    """Draw one published figure, and write it to a file where one is given.

    Main arguments:
        wanted: a figure or its id. file: ends in .svg, .png or .pdf.
        tier: `"smoke"`, `"standard"` or `"full"`; only the last has the published sample sizes. seed: draws the rest.
        parameters: values in place of the published ones; `figure.parameters` lists what there is.

    Returns:
        The Matplotlib figure, or the path of the file.

    Raises:
        BadInput: no single figure goes by that name, an unknown tier, a seed that is none, a file that cannot be, a
            parameter that the figure does not have, or a value of the wrong kind.
    """
    as_key(seed)
    check_tier("figure", tier)
    found = SHELF.find(wanted)
    if len(found) != 1:
        raise BadInput(f"figure: {wanted!r} stands for {len(found)} figures; give one of their ids.")
    (one,) = found
    check_names("figure", found, parameters or {})
    with house():
        drawing = one.draw(Case(one.id, {}, seed=seed, tier=tier, parameters=parameters))
    if file is None:
        return drawing
    command = command_of("figure", one.id, tier, seed, plain(dict(parameters or {})))
    return FilePath(write(drawing, file, command, title=f"arXiv:{one.paper}, {one.item}: {one.title}"))
