"""`python -m benchmarks soak`: the live path over long times, undisturbed or with faults."""
