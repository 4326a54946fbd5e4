"""Recipes: one experiment a YAML file; README.md lists them."""
