"""Libraries that sites use beside Django, each in a small site of its own under a real server."""
