"""`python -m benchmarks report`: every report that is kept with the code, and what is made of them."""
