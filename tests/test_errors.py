"""Messages list the first values and count the others."""

from dpeformer_jax.base.errors import some


def test_a_long_list_is_cut():
    assert some(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert some(range(13)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
