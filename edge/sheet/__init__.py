"""A printed sheet of an ECG: what is on it, and how it is drawn."""
