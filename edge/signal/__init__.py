"""Signal processing: conditioning, presence of leads, rate conversion, the linear anchor."""
