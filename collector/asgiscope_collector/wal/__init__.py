"""The write-ahead log: segments of acknowledged bodies, and the digests of recently stored bodies."""
