"""What starts, feeds, checks and stops the demo. `run.py` is the command."""
