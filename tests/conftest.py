"""Settings that every test shares."""

from hypothesis import settings

# A slow machine is no failure: what is claimed of speed is measured by `benchmarks`, never by a test.
settings.register_profile("leadlift", deadline=None)
settings.load_profile("leadlift")
