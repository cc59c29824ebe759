"""What people write, or use, instead of fastfer: the rivals of the benchmarks."""
