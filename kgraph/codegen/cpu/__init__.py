"""The CPU target: kernels printed as Python, compiled by Numba, run by a native driver."""
