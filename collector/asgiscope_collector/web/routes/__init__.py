"""The JSON API: one router per noun. It parses the request and calls the queries."""
