"""Bits that frozen representations save a fresh decoder."""
