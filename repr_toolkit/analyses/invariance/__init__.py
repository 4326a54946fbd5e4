"""What samples of one h have in common."""
