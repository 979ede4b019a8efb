"""Settings for all tests."""

import matplotlib
from hypothesis import settings

matplotlib.use("Agg")
settings.register_profile("humimp", deadline=None, print_blob=True)
settings.load_profile("humimp")
