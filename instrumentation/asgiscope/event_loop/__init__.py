"""The event loop from outside: the watchdog, stalls, starvation, deadlocks, ongoing trouble, accept delay."""
