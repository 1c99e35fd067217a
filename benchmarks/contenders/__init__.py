"""The contenders of `benchmarks.peers`, a module each: a function for each kind of workload returns how to run it."""
