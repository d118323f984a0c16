"""The data sets as PhysioNet publishes them: fetched whole, checked, and made into what training reads."""
