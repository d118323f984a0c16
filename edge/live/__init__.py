"""The live path: from a source's bytes to twelve-lead blocks, with clocks, queues and counters."""
