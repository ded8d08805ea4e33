"""The picture of a path: tokens along depth in the way that suits their space, over energy and clusters."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from measureflow import observables
from measureflow.errors import BadInput
from measureflow.measures import Density, Gaussian, Measure, Tokens
from measureflow.paths.clouds import cloud, layout, write_words
from measureflow.paths.densities import density_picture
from measureflow.paths.export import credit
from measureflow.paths.gaussians import gaussian_picture
from measureflow.paths.path import Path
from measureflow.paths.spheres import colours_of, globe, note, viewpoint
from measureflow.paths.style import FAINT, caption, figure, house, number, write
from measureflow.paths.timelines import angles, symbol, timeline
from measureflow.spaces import Sphere, is_traced

__all__ = ["plot", "snapshots", "tokens_along"]


def plot(path: Path, file: str | os.PathLike[str] | None = None) -> Any:
    """Draw a path; return the figure, and write it to `file` (.svg, .png, .pdf) if one is given.

    Of tokens, on the circle: angles against depth. On S²: globes at several depths with trails. In higher dimension and
    in Euclidean space: a projection on the two principal axes. Below: energy (where one is proved), clusters and the
    mean cosine. Of a density, on the circle or symmetric about an axis: a map of angle and depth; on all of S²: globes;
    below: energy or order parameter, and the largest value. Of a Gaussian: ellipses, and the variances along depth. The
    recipe stands under the picture and in the metadata.

    Raises:
        BadInput: a batched or traced path, a kind of measure that has no picture, or an ending that is no picture.
    """
    if is_traced(path.times, path.measure) or np.ndim(path.times) != 1:
        raise BadInput("plot draws one path: pick one of the batch with jax.tree.map(lambda leaf: leaf[k], path).")
    picture = PICTURES.get(type(path.measure))
    if picture is None:
        known = ", ".join(kind.__name__ for kind in PICTURES)
        raise BadInput(f"plot has no picture of a path of a {type(path.measure).__name__}; it draws {known}.")
    with house():
        drawing = picture(path)
    if file is not None:
        write(drawing, file, path.recipe.text, title=credit(path))
    return drawing


def tokens_picture(path: Path) -> Any:
    """Draw tokens along depth in the way that suits their space."""
    if path.space.d == 2 and isinstance(path.space, Sphere):
        drawing = figure(11.0, 7.6)
        upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(2.2, 1.0))
        angles(path, upper)
        timeline(path, lower)
    else:
        drawing = figure(13.0, 6.0)
        upper, lower = drawing.subfigures(2, 1, height_ratios=(1.5, 1.0))
        shown = tokens_along(path, upper)
        below = lower.subplots()
        timeline(path, below)
        times = np.asarray(path.times)[np.asarray(path.kept)]
        for _, k in shown:
            below.axvline(float(times[k]), color=FAINT, lw=1.0, zorder=0)
    caption(drawing, credit(path))
    if path.labels is not None and path.space.d > 3:
        last, k = shown[-1]
        flat = layout(np.asarray(path.points), np.asarray(path.weights))
        write_words(last, path.labels, flat(np.asarray(path.points[k])), np.asarray(path.tokens.present[k]))
    return drawing


#: how a path of each kind of measure is drawn
PICTURES: dict[type[Measure], Callable[[Path], Any]] = {
    Tokens: tokens_picture,
    Density: density_picture,
    Gaussian: gaussian_picture,
}


def tokens_along(path: Path, drawing: Any, count: int = 5) -> list[tuple[Any, int]]:
    """Draw the tokens at `count` depths side by side, on globes where the space is S², else projected on a plane.

    Returns each panel with the index of its state.
    """
    chosen = snapshots(path, count)
    axes = drawing.subplots(1, len(chosen), squeeze=False)[0]
    points, weights = np.asarray(path.points), np.asarray(path.weights)
    times = np.asarray(path.times)[np.asarray(path.kept)]
    members = [np.asarray(observables.clusters(path[int(k)]).membership) for k in chosen]
    colours = colours_of(basins(members))
    present = np.asarray(path.tokens.present[0])
    ball = isinstance(path.space, Sphere) and path.space.d == 3
    if ball:
        rotation = viewpoint(points[chosen].reshape(-1, 3), masses(members, weights[chosen]).ravel())
    else:
        plane = layout(points, weights)
    earlier = 0
    for place, (k, member) in enumerate(zip(chosen, members, strict=True)):
        sizes = 16.0 * np.sqrt(companions(member))[present]
        states = slice(earlier, k + 1)
        if ball:
            globe(axes[place], points[states][:, present], colours[present], sizes, rotation)
        else:
            cloud(axes[place], plane, points, states, present, colours, sizes)
        said = len({*member[member >= 0].tolist()})
        note(axes[place], f"{said} cluster{'' if said == 1 else 's'}")
        axes[place].set_title(rf"${symbol(path)} = {number(float(times[k]))}$")
        earlier = k
    return [(place, int(k)) for place, k in zip(axes, chosen, strict=True)]


def snapshots(path: Path, count: int) -> np.ndarray:
    """Return which kept states to show: the first, the last, and between them equal shares of what happens.

    What happens is measured by the way the tokens go, so that neither the waiting before nor a plateau gets a picture
    for every decade it lasts.
    """
    last = len(path) - 1
    if last < count:
        return np.arange(last + 1)
    points, weights = np.asarray(path.points), np.asarray(path.weights)
    moved = np.sqrt(np.einsum("snd,sn->s", np.diff(points, axis=0) ** 2, weights[1:]))
    way = np.concatenate([[0.0], np.cumsum(moved)]) / max(moved.sum(), np.finfo(float).tiny)
    # half by the way, half by the place in the list: a plateau is part of the story too
    story = 0.5 * way + 0.5 * np.arange(last + 1) / last
    return np.unique(np.searchsorted(story, np.linspace(0, story[-1], count) - 1e-12).clip(0, last))


def basins(members: list[np.ndarray]) -> np.ndarray:
    """Return the membership at the shown state with the most clusters that colours can still tell apart, at most 8."""
    counts = [len({*member[member >= 0].tolist()}) for member in members]
    few = [count if count <= 8 else 0 for count in counts]
    return members[int(np.argmax(few))] if max(few) > 1 else members[-1]


def companions(member: np.ndarray) -> np.ndarray:
    """Return how many tokens share each token's cluster."""
    counts = np.bincount(member[member >= 0], minlength=1)
    return np.where(member >= 0, counts[member], 1)


def masses(members: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Return for each token what of its cluster's worth it carries: clusters count alike, whatever their size."""
    return np.stack([weight / companions(member) ** 1.5 for member, weight in zip(members, weights, strict=True)])
