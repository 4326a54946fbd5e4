"""Recipes: their sections, how they are read and checked, and what is built from them."""

from repr_toolkit.config.recipe import (
    Config,
    apply_settings,
    complete,
    list_recipes,
    load_recipe,
    variants,
)

__all__ = ["Config", "apply_settings", "complete", "list_recipes", "load_recipe", "variants"]
