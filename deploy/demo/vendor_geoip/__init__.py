"""Stands for a third-party package: it lives outside the shop's apps and knows nothing of them."""
