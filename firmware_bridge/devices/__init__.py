"""Decoders for formats that other devices speak, a file each."""
