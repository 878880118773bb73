"""Stacks: which line of the application, which object of the site, what a thread waits for."""
