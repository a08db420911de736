"""What every room may use: errors, whole-file writing, the decoder of pictures. No JAX in it."""
