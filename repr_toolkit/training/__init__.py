"""Training a model of a configuration by Lightning: the loop, its callbacks, its files."""
