"""Side-by-side timings behind the speed claims of the documentation: `make bench`."""
