"""The site's addresses: each view under its name."""

from django.urls import path

from . import bridges, views

urlpatterns = [
    path(f"{view.__name__.replace('_', '-')}/", view)
    for view in (
        views.ready,
        views.plain,
        views.one,
        views.all_of_them,
        views.listing,
        views.author,
        views.page,
        views.page_in_thread,
        views.sync_page,
        views.visits,
        views.async_visits,
        views.gathered,
        views.stream,
        views.missing,
        bridges.sensitive,
        bridges.insensitive,
        bridges.reused_loop,
        bridges.forced_loop,
        bridges.thread_loop,
        bridges.nested,
        bridges.contended,
        bridges.contexts,
    )
]
