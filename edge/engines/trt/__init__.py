"""The TensorRT engine: found, built, cached, stepped."""
