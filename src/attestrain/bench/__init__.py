"""Benchmarks that ship with the package: measured like runs, resumed like runs."""
