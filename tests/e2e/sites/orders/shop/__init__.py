"""A shop with orders, as small as a project can be, for the tests of its own that it holds to bounds."""
