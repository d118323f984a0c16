"""`python -m benchmarks fidelity`: how near the reconstruction comes to the truth."""
