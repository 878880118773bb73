"""Contention: who waits for which thread, and thread pools."""
