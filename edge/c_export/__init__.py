"""A bundle's decoder as portable C99: `leadlift export-c` and the engine `c`."""
