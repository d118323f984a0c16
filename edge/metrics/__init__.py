"""What a live run counts, for Prometheus: collected when it is asked for."""
