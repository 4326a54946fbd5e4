"""Encoder and decoder as one model that can be trained, and what is computed with it."""
