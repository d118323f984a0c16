"""A patient's calibration in use: its file, and its maps on the stream."""
