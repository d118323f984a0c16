"""The live view in a browser: `--sink view:[PORT]`."""
