"""A Turing test for people who read ECGs: sheets, real or reconstructed, and a scorer of their answers."""
