"""The web app: routes, middleware, the response cache and the page."""
