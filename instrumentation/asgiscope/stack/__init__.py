"""Stacks: the application's line, the application object, and what a thread waits for."""
