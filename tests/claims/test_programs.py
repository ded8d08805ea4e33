"""A long run of checks keeps its number of mapped memory regions within bounds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from measureflow.claims import programs


@pytest.mark.skipif(programs.mapped_regions() == 0, reason="this system does not tell its mapped regions")
def test_programs_are_let_go_once_there_are_many_and_not_before():
    def programs_of(count):
        for shift in range(count):
            jax.jit(lambda x, shift=shift: jnp.tanh(x @ x.T + shift).sum())(jnp.ones((7, 3 + shift)))

    programs_of(30)
    # other threads map and unmap meanwhile: what is enough lies far from what there is
    before = programs.mapped_regions()
    assert not programs.let_go(enough=2 * before)
    assert programs.let_go(enough=before // 2)
    assert programs.mapped_regions() < before
