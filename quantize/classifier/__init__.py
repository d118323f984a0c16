"""A classifier of heart disease, trained on real ECG: it judges whether reconstructed leads tell the same."""
