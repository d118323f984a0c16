"""`python -m benchmarks wire`: decoders, damage, clocks, the C encoder, the BLE path."""
