"""The wire format: bytes to events and back, without I/O or a clock."""
