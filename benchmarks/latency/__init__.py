"""`python -m benchmarks latency`: how long each part of the path takes."""
