"""How fast the library is on this machine: `python -m benchmarks`."""
