from __future__ import annotations

import pytest

import measureflow as mf
from measureflow.runs import Event


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("overlap >= 1 - 1e-3", Event("overlap", ">=", 0.999)),
        ("clusters<=1", Event("clusters", "<=", 1.0)),
        ("smallest_cosine >= -.5", Event("smallest_cosine", ">=", -0.5)),
        ("effective_rank <= 2.5", Event("effective_rank", "<=", 2.5)),
    ],
)
def test_an_event_is_read_and_written(text, event):
    assert Event.of(text) == event
    assert Event.of(str(event)) == event


@pytest.mark.parametrize("text", ["overlap", "overlap > 0.9", "overlap >= open('x')", "overlap >= - 1 - 0.1", 3, ""])
def test_what_is_no_event_is_refused(text):
    with pytest.raises(mf.BadInput, match=r"event is .*such as 'overlap >= 1 - 1e-3'"):
        Event.of(text)


def test_an_unknown_observable_is_named_with_the_nearest():
    with pytest.raises(mf.BadInput, match="did you mean 'overlap'"):
        Event.of("overlp >= 1")


def test_an_event_of_pairs_is_the_share_of_pairs():
    tokens = mf.Tokens(mf.Sphere(2), [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert float(Event.of("cosines >= 1 - 1e-3")(tokens, None)) == pytest.approx(1 / 3)
    assert float(Event.of("overlap >= 1 - 1e-3")(tokens, None)) == 1.0
    assert float(Event.of("clusters <= 1")(tokens, None)) == 0.0
    assert float(Event.of("energy <= 1e9")(tokens, mf.SelfAttention(1.0))) == 1.0
