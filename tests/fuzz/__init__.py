"""Fuzzing: what arrives at the door, the API's parameters and the rules file, guided by coverage (`make fuzz`)."""
