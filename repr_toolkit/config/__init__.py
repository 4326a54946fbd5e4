"""Recipes: what may stand in them, how they are read, and what is built from them."""
