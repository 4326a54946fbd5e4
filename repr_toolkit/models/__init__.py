"""The models that are trained: an encoder with a decoder, or an encoder alone."""
