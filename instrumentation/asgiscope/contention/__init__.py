"""Contention: who holds each thread and pool, who waits, and how a wait divides among its holders."""
