"""Chapter 7: the published claims, their verdicts, and the errors that the checks reject."""

# %% [markdown]
# ## Claims
#
# A claim is a published statement with a numerical check on random instances. Every check also meets *mutations*: the
# nearest plausible errors, a printed erratum, a lost factor, a wrong sign, put where the statement stood. It must miss
# each by at least ten tolerances while the truth keeps half of its tolerance free; else the verdict is
# *inconclusive*. Nothing is filtered by the expected answer.
#
# The page checks one claim of every paper, one with a picture of its own where there is one; `measureflow report
# --claims all`, or `measureflow check`, checks every one, and `measureflow check --coverage` says which rows of the
# tables of predictions, errata and open problems they are. Any of them runs with other numbers, and makes a page of its
# own: `measureflow check V5 --set beta=4 --out v5`.

# %%
import math

import measureflow as mf
from measureflow.report import settings, show, table

now = settings()
known = [claim for claim in mf.claims.all() if claim.tier == "smoke"]


def order(claim):
    """Put the predictions of the theory, V1 to V30, first, and claims with a picture of their own before others."""
    return "/V" not in claim.id, claim.picture is None


drawn_first = sorted(known, key=order)
first = list({claim.paper: claim for claim in reversed(drawn_first)}.values())[::-1]
results = mf.check(
    first if now.claims == "first" else None,
    tier=now.tier,
    seed=now.seed,
    progress=lambda done, total, title: now.progress(title or "drawn"),
)
verdicts = [result.verdict for result in results]
kinds = {"consistent": "good", "violated": "bad", "inconclusive": "open"}
print(", ".join(f"{verdicts.count(kind)} {kind}" for kind in kinds if kind in verdicts), f"of {len(known)} claims")
table(
    ("verdict", "covers", "claim", "measured", "expected", "error in tolerances", "paper", "s"),
    [
        (
            (kinds[result.verdict], result.verdict),
            ", ".join(result.covers),
            result.title,
            result.measured,
            result.expected,
            result.deviation,
            f"[{result.paper}](https://arxiv.org/abs/{result.paper}) {result.item}",
            round(result.seconds, 1),
        )
        for result in results
    ],
)

# %% [markdown]
# ### What each mutation did
#
# The error of each mutation, in tolerances, at the draw that liked it best. Ten or more is a rejection.

# %%
table(
    ("claim", "mutation", "missed by (tolerances)", ""),
    [
        (
            ", ".join(result.covers) or result.id,
            mutation.what,
            mutation.deviation,
            ("good", "rejected") if mutation.rejected else ("bad", "not rejected"),
        )
        for result in results
        for mutation in result.mutation_rejected
    ],
)

# %%
from textwrap import wrap

from measureflow.paths.style import figure, house

drawn = sorted(
    (result for result in results if result.claim.picture and result.cases), key=lambda one: order(one.claim)
)
drawn = drawn[:12]
if drawn:
    with house():
        drawing = figure(12.5, 4.2 * math.ceil(len(drawn) / 3))
        places = drawing.subplots(math.ceil(len(drawn) / 3), min(3, len(drawn)), squeeze=False).ravel()
        for axes, result in zip(places, drawn, strict=False):
            result.plot(axes)
            axes.set_title("", loc="left")
            axes.set_title("\n".join(wrap(f"{', '.join(result.covers)}: {result.title}", 38)), fontsize=11)
        for axes in places[len(drawn) :]:
            axes.axis("off")
    show(
        drawing,
        name="claims",
        caption="What some of the claims compare, each for its first random instance: measured against predicted "
        "(dashed).",
        recipe=f"measureflow check --tier {now.tier} --seed {now.seed}",
    )

# %% [markdown]
# ### Mutants of the core against the claims
#
# The same question asked the other way round: errors are put into the *library*, and the claims must notice. A mutant
# that no claim kills is a hole; a claim that kills none is suspect.

# %%
from measureflow.claims.mutants import SHORT

mutants = mf.claims.against_mutants(
    SHORT, seed=now.seed, progress=lambda done, total, title: now.progress(f"mutants: {title}")
)
says = {"killed": ("good", "killed"), "survived": ("open", "survived"), "not applicable": ("", "–")}
table(
    ("error put into the core", *(", ".join(claim.covers) for claim in mutants.claims)),
    [
        (mutant.what, *(says[mutants.cells[mutant.name, claim.id].outcome] for claim in mutants.claims))
        for mutant in mutants.mutants
    ],
)
print(f"mutants that nobody killed: {', '.join(mutants.holes) or 'none'}")
