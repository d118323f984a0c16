"""`python -m benchmarks device`: the decoder on this machine's GPU."""
