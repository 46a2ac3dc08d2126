"""Statistical tests of a stream of random bytes, whatever it comes from."""
