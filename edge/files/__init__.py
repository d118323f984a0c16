"""Recordings on disk: readers and writers of each format."""
