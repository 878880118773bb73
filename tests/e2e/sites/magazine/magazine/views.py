"""Articles, read in the ways that async Django offers, and in those that it refuses."""

import asyncio
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from . import counting
from .models import Article

TEMPLATE = "magazine/articles.html"


async def ready(_request: HttpRequest) -> HttpResponse:
    """Answer without touching anything."""
    return HttpResponse("ready")


async def plain(_request: HttpRequest) -> HttpResponse:
    """Answer how deep below the server's task this view runs; 0 where nobody counts."""
    return JsonResponse({"depth": counting.depth.get()})


async def one(_request: HttpRequest) -> HttpResponse:
    """Get one article and count them all."""
    article = await Article.objects.select_related("author").aget(title="Threads")
    return JsonResponse({"by": article.author.name, "of": await Article.objects.acount()})


async def all_of_them(_request: HttpRequest) -> HttpResponse:
    """Iterate over the articles."""
    return JsonResponse({"titles": [article.title async for article in Article.objects.order_by("title")]})


async def listing(_request: HttpRequest) -> HttpResponse:
    """Evaluate a queryset on the event loop."""
    return JsonResponse({"titles": list(Article.objects.values_list("title", flat=True))})


async def author(_request: HttpRequest) -> HttpResponse:
    """Follow a relation that was not fetched with the article."""
    article = await Article.objects.aget(title="Threads")
    return HttpResponse(article.author.name)


async def page(_request: HttpRequest) -> HttpResponse:
    """Render a template that runs queries, on the event loop."""
    return HttpResponse(render_to_string(TEMPLATE, {"articles": Article.objects.all()}))


async def page_in_thread(request: HttpRequest) -> HttpResponse:
    """Render the same template in a thread."""
    return await sync_to_async(render)(request, TEMPLATE, {"articles": Article.objects.all()})


def sync_page(request: HttpRequest) -> HttpResponse:
    """Render the same template in a synchronous view."""
    return render(request, TEMPLATE, {"articles": Article.objects.all()})


def visits(request: HttpRequest) -> HttpResponse:
    """Count this session's visits, synchronously."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


async def async_visits(request: HttpRequest) -> HttpResponse:
    """Count this session's visits, and see who it is."""
    seen = await request.session.aget("visits", 0) + 1
    await request.session.aset("visits", seen)
    user = await request.auser()
    return JsonResponse({"visits": seen, "anonymous": user.is_anonymous})


async def gathered(_request: HttpRequest) -> HttpResponse:
    """Ask for two things at once."""
    count, exists = await asyncio.gather(Article.objects.acount(), Article.objects.aexists())
    return JsonResponse({"count": count, "exists": exists})


async def stream(_request: HttpRequest) -> StreamingHttpResponse:
    """Send the titles one by one."""

    async def titles() -> AsyncIterator[bytes]:
        async for article in Article.objects.order_by("title"):
            yield article.title.encode() + b"\n"

    return StreamingHttpResponse(titles(), content_type="text/plain")


async def missing(_request: HttpRequest) -> HttpResponse:
    """Ask for what is not there."""
    await Article.objects.aget(title="Nothing")
    return HttpResponse("never")
