"""Trains the model of a configuration with Lightning: the Trainer, its callbacks and its files."""
