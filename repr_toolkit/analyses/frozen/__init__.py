"""Bits that frozen representations save a fresh decoder."""

from repr_toolkit.analyses.frozen.blocks import blocks
from repr_toolkit.analyses.frozen.study import run_frozen

__all__ = ["blocks", "run_frozen"]
