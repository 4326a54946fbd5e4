"""What the sampling engines need of a model: one walk a model."""
