"""Inference engines behind one contract: `edge.engines.base.Engine`."""
