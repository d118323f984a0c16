"""Every record of a folder, reconstructed once: `leadlift reconstruct IN_DIR OUT_DIR`."""
