"""Records: what is under way and what ended; only the recorder changes them."""
