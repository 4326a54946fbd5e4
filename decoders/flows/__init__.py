"""Flows: decoders whose z = f(x) is a code and whose density has a closed form."""
