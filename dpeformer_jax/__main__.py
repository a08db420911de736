"""python -m dpeformer_jax is the command `dpeformer`."""

from dpeformer_jax.cli.main import main

if __name__ == "__main__":
    main()
