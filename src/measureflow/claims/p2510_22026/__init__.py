"""Claims of arXiv:2510.22026, where the layer norm stands and what that does to speeds, rates and ends."""

from __future__ import annotations

from measureflow.claims.p2510_22026 import open_radii, schedules, schemes, starts_and_ends

__all__ = ["open_radii", "schedules", "schemes", "starts_and_ends"]
