"""What is measured of trained models and of representations, one folder a question."""
