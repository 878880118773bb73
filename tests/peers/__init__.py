"""What asgiscope and its peers each add to a request of the same site, measured in one interleaved run."""
