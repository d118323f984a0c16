"""NVIDIA Triton Inference Server: model repositories, and what its Python backend runs."""
