"""A classifier of heart disease, trained on real ECG: what judges whether reconstructed leads still tell it."""
