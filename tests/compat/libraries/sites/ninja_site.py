"""django-ninja: asynchronous and synchronous operations with schemas."""

from base import configure, served

configure(__name__)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.shortcuts import aget_object_or_404  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import NinjaAPI, Schema  # noqa: E402
from shop.models import Book  # noqa: E402


class BookOut(Schema):
    """A book with the name of its author."""

    id: int
    title: str
    author: str

    @staticmethod
    def resolve_author(book):
        return book.author.name


api = NinjaAPI()


@api.get("/books", response=list[BookOut])
async def books(request):
    return [book async for book in Book.objects.select_related("author").order_by("id")]


@api.get("/books-sync", response=list[BookOut])
def books_sync(request):
    return Book.objects.select_related("author").order_by("id")


@api.get("/books/{number}", response=BookOut)
async def book(request, number: int):
    return await aget_object_or_404(Book.objects.select_related("author"), pk=number)


@api.get("/refused", response=list[BookOut])
async def refused(request):
    return [book async for book in Book.objects.order_by("id")]


urlpatterns = [path("api/", api.urls)]
application = served(get_asgi_application())
