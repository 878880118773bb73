"""The one kind of page of the Wagtail site."""

from wagtail.models import Page


class HomePage(Page):
    """A page with its children's titles."""
