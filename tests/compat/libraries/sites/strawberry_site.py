"""strawberry-graphql-django, with its optimizer and without."""

from base import configure, served

configure(__name__, apps=("strawberry_django",))

import strawberry  # noqa: E402
import strawberry_django  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from shop.models import Author, Book  # noqa: E402
from strawberry.django.views import AsyncGraphQLView  # noqa: E402
from strawberry_django.optimizer import DjangoOptimizerExtension  # noqa: E402


@strawberry_django.type(Author)
class AuthorType:
    name: strawberry.auto


@strawberry_django.type(Book)
class BookType:
    title: strawberry.auto
    author: AuthorType


@strawberry.type
class Query:
    books: list[BookType] = strawberry_django.field()


optimized = strawberry.Schema(query=Query, extensions=[DjangoOptimizerExtension])
plain = strawberry.Schema(query=Query)
urlpatterns = [
    path("graphql/", AsyncGraphQLView.as_view(schema=optimized)),
    path("plain/", AsyncGraphQLView.as_view(schema=plain)),
]
application = served(get_asgi_application())
