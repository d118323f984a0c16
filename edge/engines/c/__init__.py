"""The engine `c`: the exported decoder, compiled for this machine."""
