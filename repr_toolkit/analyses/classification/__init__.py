"""Class labels by Bayes' rule, and classifiers of pixels beside it."""
