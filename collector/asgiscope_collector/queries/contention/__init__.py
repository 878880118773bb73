"""Contention: waits for threads, and thread pools."""
