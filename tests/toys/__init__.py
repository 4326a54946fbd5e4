"""Small encoders, decoders, data and runs that several test modules share."""
