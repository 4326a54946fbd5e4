"""Blocks of a page, such as tables, pictures and charts, and how they are written. Knows no run."""
