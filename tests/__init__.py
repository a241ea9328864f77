"""The tests: folders as in `realtime`, beside whole conversations and the real daemon."""

from hypothesis import HealthCheck, settings

# Machines differ in speed; on a new one Hypothesis builds its tables of characters first: neither is a fault.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
