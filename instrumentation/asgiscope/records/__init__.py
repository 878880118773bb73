"""Records of running and ended work; only the recorder changes them."""
