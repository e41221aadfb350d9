"""Measuring the product at full size: `make bench`, or `python -m bench --help`. See docs/benchmarks.md."""
