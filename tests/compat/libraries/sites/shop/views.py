"""The same list of books by an asynchronous and a synchronous view."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from shop.models import Book


async def books(request: HttpRequest) -> HttpResponse:
    found = [book async for book in Book.objects.select_related("author").order_by("id")]
    return render(request, "shop/books.html", {"books": found})


def books_sync(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/books.html", {"books": Book.objects.select_related("author").order_by("id")})


urlpatterns = [path("books/", books), path("books-sync/", books_sync)]
