"""adrf with REST framework: an asynchronous view, and a viewset whose nested serializer crosses for each row."""

from base import configure, served

configure(__name__, apps=("rest_framework", "adrf"))

from adrf.serializers import ModelSerializer  # noqa: E402
from adrf.views import APIView  # noqa: E402
from adrf.viewsets import ModelViewSet  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from shop.models import Author, Book  # noqa: E402


class AuthorSerializer(ModelSerializer):
    class Meta:
        model = Author
        fields = ("id", "name")


class BookSerializer(ModelSerializer):
    author = AuthorSerializer()

    class Meta:
        model = Book
        fields = ("id", "title", "author")


class Authors(APIView):
    async def get(self, request):
        rows = [{"id": author.pk, "name": author.name} async for author in Author.objects.order_by("id")]
        return Response(rows)


class Books(ModelViewSet):
    queryset = Book.objects.select_related("author").order_by("id")
    serializer_class = BookSerializer


urlpatterns = [
    path("authors/", Authors.as_view()),
    path("nested/", Books.as_view({"get": "alist"})),
]
application = served(get_asgi_application())
