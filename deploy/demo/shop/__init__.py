"""The shop: products, a cart in the session, orders."""
