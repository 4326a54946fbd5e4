"""Directions in h, and images along them."""
