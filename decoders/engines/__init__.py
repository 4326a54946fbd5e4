"""Sampling engines: the same image for the same noise, at different speeds."""
