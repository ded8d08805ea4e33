"""Softmax beside Sinkhorn in a trained classifier: an open question, for small images and for sets of points."""

from __future__ import annotations

from typing import Any

import numpy as np

import measureflow as mf
from measureflow.claims.case import Case
from measureflow.claims.exploration import Findings, exploration
from measureflow.claims.figures import figure
from measureflow.claims.p2110_11773.training import Data, Recipe, Trained, digits, point_sets, train
from measureflow.fields import Sinkhorn
from measureflow.paths.style import ACCENT, INK, MUTED, THEORY
from measureflow.paths.style import figure as empty

#: sets to train and to test on, seeds, and how a model is trained
TRAINED_ON, TESTED_ON = {"smoke": 96, "standard": 900, "full": 1000}, {"smoke": 96, "standard": 800, "full": 797}
SEEDS, EPOCHS = {"smoke": 2, "standard": 6, "full": 16}, {"smoke": 2, "standard": 30, "full": 100}
WIDTHS = {"smoke": 16}
#: half steps that are compared; 0 stands for convergence, which makes training a hundred times slower
HALF_STEPS = {"smoke": (1, 3), "standard": (1, 3, 5, 21), "full": (1, 3, 5, 0)}


def weighting_of(half_steps: int) -> Sinkhorn:
    """Return the weighting; in single precision columns are right to 1e-4 where it converges."""
    return Sinkhorn(iterations=half_steps) if half_steps else Sinkhorn(1e-4, most=2000)


def named(half_steps: int) -> str:
    """Return the weighting in words."""
    return {0: "Sinkhorn, converged", 1: "softmax"}.get(half_steps, f"Sinkhorn, {half_steps} half steps")


def trained(case: Case, data: Data, half_steps: int) -> Trained:
    """Return the models of all seeds, trained."""
    seeds = case.given("seeds", SEEDS[case.tier])
    return train(data, weighting_of(half_steps), recipe_of(case), case.seed % 2**20 + np.arange(seeds))


def recipe_of(case: Case) -> Recipe:
    """Return how models are trained."""
    return Recipe(width=case.given("width", WIDTHS.get(case.tier, 32)), epochs=case.given("epochs", EPOCHS[case.tier]))


def sets_of(case: Case) -> tuple[int, int]:
    """Return how many sets there are to train and to test on."""
    sizes = case.given("sets to train on", TRAINED_ON[case.tier]), case.given("sets to test on", TESTED_ON[case.tier])
    if sizes[0] < Recipe().batch:
        raise mf.BadInput(f"{case.name}: sets to train on are {sizes[0]}; a batch takes {Recipe().batch}.")
    return sizes


def compared(case: Case, data: Data) -> dict[str, Any]:
    """Return the accuracy of each weighting with the error of its mean, and how far columns are from 1."""
    case.require("there are so many sets to train and to test on", sets_of(case) == (len(data.train), len(data.test)))
    found: dict[str, Any] = {"classes": data.classes}
    case.require("there are two seeds at least, for an error", case.given("seeds", SEEDS[case.tier]) > 1)
    for half_steps in case.given("half steps", HALF_STEPS[case.tier]):
        result = trained(case, data, half_steps)
        last = 100 * result.accuracy[:, -1]
        spread = float(last.std(ddof=1) / np.sqrt(len(last)))
        off = np.abs(result.columns[:, [0, -1]] - 1).mean(axis=(0, 2, 3))
        found[named(half_steps)] = {
            "accuracy": float(last.mean()),
            "error of the mean": spread,
            "seeds": last.tolist(),
            "columns off at the start": float(off[0]),
            "columns off at the end": float(off[1]),
            "seeds that broke off": int((~np.isfinite(result.columns[:, -1])).any(axis=(1, 2)).sum()),
        }
    return found


@exploration("2110.11773", "MNIST with one layer", covers=["2.5"], id="2110.11773/2.5-digits")
def does_sinkhorn_help_to_read_digits(case: Case) -> dict[str, Any]:
    """Does doubly stochastic attention classify better than softmax: one attention layer on scikit-learn's digits?

    The paper reports that it does, for MNIST with a layer of attention alone, patches as tokens, 1 half step (softmax)
    against 5. Here 8 x 8 digits with patches of 2 x 2 pixels; accuracy in percent on images not trained on, mean over
    seeds with the error of that mean; how far the column sums of attention are from 1, before and after training. One
    run at tier standard (six seeds) found no gain, 85.8 +- 0.9 for softmax and 84.4 +- 0.5 for 5 half steps; and column
    sums of softmax that move away from 1, where the paper's come nearer to it.
    """
    sizes, recipe = sets_of(case), recipe_of(case)
    try:
        data = digits(case.generator("digits"), sizes)
    except mf.BadInput as missing:
        return {"not run": str(missing)}
    return {"images": sizes[0], "epochs": recipe.epochs, **compared(case, data)}


@exploration("2110.11773", "classification of point clouds", covers=["2.5"], id="2110.11773/2.5-points")
def does_sinkhorn_help_to_tell_shapes(case: Case) -> dict[str, Any]:
    """Does doubly stochastic attention tell shapes of point sets apart better than softmax?

    The paper reports a clear gain on clouds of 1000 points from objects in space, with a large network. Here 16 points
    in the plane from a ring, a blob, a pair of blobs or a cross, turned and standardised, and one layer of attention.
    One run at tier standard (six seeds) found 70.1 +- 1.5 for softmax and 74.3 +- 1.3 for 21 half steps, in between for
    3 and 5: a gain of two errors of the mean.
    """
    sizes, recipe = sets_of(case), recipe_of(case)
    data = point_sets(case.generator("points"), sizes)
    return {"sets": sizes[0], "epochs": recipe.epochs, **compared(case, data)}


@does_sinkhorn_help_to_read_digits.figure
def accuracy_of_digits(findings: Findings, ax: Any) -> None:
    """Draw the accuracy of every weighting."""
    accuracies(findings, ax)


@does_sinkhorn_help_to_tell_shapes.figure
def accuracy_of_shapes(findings: Findings, ax: Any) -> None:
    """Draw the accuracy of every weighting."""
    accuracies(findings, ax)


def accuracies(findings: Findings, ax: Any) -> None:
    """Draw every seed, and the mean with its error."""
    rows = {name: row for name, row in findings.found.items() if isinstance(row, dict)}
    for place, (name, row) in enumerate(rows.items()):
        ax.plot(row["seeds"], [place] * len(row["seeds"]), "o", color=MUTED, alpha=0.5, ms=5)
        ax.errorbar(row["accuracy"], place, xerr=row["error of the mean"], fmt="D", color=ACCENT[0], capsize=4)
        if name == named(1):
            ax.axvline(row["accuracy"], ls="--", color=THEORY, lw=1.4, label="softmax, to compare with")
    if "classes" in findings.found:
        ax.axvline(100 / findings.found["classes"], ls=":", color=MUTED, lw=1.4, label="chance")
    ax.plot([], [], "D", color=ACCENT[0], label="mean and its error")
    ax.plot([], [], "o", color=MUTED, alpha=0.5, label="a seed")
    ax.set(xlabel="accuracy on the test sets, %", ylim=(-0.5, max(len(rows), 1) - 0.5))
    ax.set_yticks(range(len(rows)), list(rows))
    title = f"{findings.found.get('epochs', 0)} epochs of training"
    ax.legend(title=title, loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4)


@figure("2110.11773", "column sums", title="column sums of softmax attention over training", id="2110.11773/columns")
def column_sums_over_training(case: Case) -> Any:
    """One layer of softmax attention on digits (point sets without scikit-learn), column sums against the epoch.

    In the paper the attention matrices of trained models come nearer to doubly stochastic as training goes on. Left,
    the histogram of column sums of one seed at several epochs; right, their mean distance from 1 for every seed.
    """
    sizes, epochs_run = sets_of(case), recipe_of(case).epochs
    try:
        name, data = "digits", digits(case.generator("digits"), sizes)
    except mf.BadInput:
        name, data = "point sets", point_sets(case.generator("points"), sizes)
    columns = trained(case, data, 1).columns
    drawing = empty(11.0, 4.4)
    drawing.suptitle(f"softmax attention trained on {name}: what each token receives")
    left, right = drawing.subplots(1, 2)
    epochs = sorted({0, epochs_run // 2, epochs_run})
    for epoch, colour in zip(epochs, ACCENT, strict=False):
        sums = np.minimum(columns[0, epoch].ravel(), 3.0)
        left.hist(sums, bins=np.linspace(0, 3, 31), histtype="step", color=colour, lw=2, label=f"epoch {epoch}")
    left.axvline(1.0, color=THEORY, ls="--", lw=1.2, label="doubly stochastic")
    left.set(xlabel="column sum (3 and more in the last bar)", ylabel="tokens")
    left.legend()
    off = np.abs(columns - 1).mean(axis=(2, 3))
    right.plot(np.arange(epochs_run + 1), off.T, color=INK, alpha=0.5, lw=1.2)
    right.set(xlabel="epoch (a line for each seed)", ylabel="mean |column sum $-$ 1|", ylim=(0, None))
    return drawing
