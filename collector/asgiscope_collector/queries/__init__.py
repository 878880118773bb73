"""One module a question: SQL in, models out. No other package but `engine` knows SQL."""
