"""Hypothesis profiles: the same examples on every machine by default, fresh ones on request.

HYPOTHESIS_PROFILE=search draws new random examples each time and more of them: for hunting, not for judging a change.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# No deadline: on shared cores a slow example says nothing about the code.
settings.register_profile("stable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("stable"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "stable"))
