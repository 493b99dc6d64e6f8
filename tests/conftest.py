"""What holds for all tests: a machine that is slow, or busy, fails none of them."""

from hypothesis import HealthCheck, settings

# Time limits per example mean nothing there. Whatever else holds (on CI examples are
# the same in each run) goes on holding.
settings.register_profile(
    "any machine",
    parent=settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("any machine")
