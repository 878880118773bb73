"""Call sites are the site's, also where only a package's code is on the stack: each with the real package."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e import environments
from tests.instrumentation.one_file_site import Recorded, run_site

MODELS = """
from django.db import models

class Author(models.Model):
    name = models.CharField(max_length=50)
    class Meta:
        app_label = "auth"

class Book(models.Model):
    title = models.CharField(max_length=50)
    author = models.ForeignKey(Author, models.CASCADE)
    class Meta:
        app_label = "auth"

def books(count):
    from django.db import connection
    with connection.schema_editor() as editor:
        editor.create_model(Author)
        editor.create_model(Book)
    Book.objects.bulk_create(
        Book(title=str(each), author=Author.objects.create(name=str(each))) for each in range(count)
    )
    connection.close()
"""
INSTALLED = '["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"'


def run(folder: Path, code: str, *requirements: str, apps: str = "") -> Recorded:
    """Run a site of one file in an environment that has these packages."""
    environment = environments.make("Django==5.2.8", *requirements)
    settings = f'{{"INSTALLED_APPS": {INSTALLED}{apps}]}}'
    return run_site(folder, code, settings=settings, python=environment.python)


def the(findings: list[dict[str, Any]], **wanted: Any) -> dict[str, Any]:
    """Return the one finding with these attributes."""
    (found,) = [each for each in findings if all(each.get(name) == value for name, value in wanted.items())]
    return found


def test_a_refusal_in_a_ninja_schema_is_of_the_operation(tmp_path: Path) -> None:
    """The operation's function had returned: the schema reads a field that is not loaded."""
    site = run(
        tmp_path,
        MODELS
        + """
from ninja import NinjaAPI, Schema

class AuthorOut(Schema):
    name: str

class BookOut(Schema):
    title: str
    author: AuthorOut

api = NinjaAPI()

@api.get("/books", response=list[BookOut])
async def list_books(request):
    return [book async for book in Book.objects.all()]

urlpatterns = [path("api/", api.urls)]
call_command("migrate", verbosity=0)
books(2)
ask("/api/books")
""",
        "django-ninja==1.4.5",
    )
    refusal = site.findings("refusal")[0]
    assert refusal["asgiscope.user_object.kind"] == "operation"
    assert refusal["asgiscope.user_object"] == "__main__.list_books"
    assert refusal["code.function.name"] == "list_books"
    assert "/ninja/" in refusal["asgiscope.library_site"]
    assert refusal["asgiscope.operation.kind"] == "related_object"
    assert [step for step in refusal["asgiscope.chain"] if "schema" in step] == [
        "schema field BookOut.author"
    ]


def test_a_storm_in_a_serializer_is_of_the_serializer(tmp_path: Path) -> None:
    """A package crosses for each field of each row; the application's line is far out, or nowhere."""
    site = run(
        tmp_path,
        MODELS
        + """
from adrf.serializers import ModelSerializer
from adrf.viewsets import ReadOnlyModelViewSet

class AuthorSerializer(ModelSerializer):
    class Meta:
        model = Author
        fields = ["name"]

class BookSerializer(ModelSerializer):
    author = AuthorSerializer()
    class Meta:
        model = Book
        fields = ["title", "author"]

class BookViewSet(ReadOnlyModelViewSet):
    queryset = Book.objects.all()
    serializer_class = BookSerializer
    authentication_classes = []
    permission_classes = []

urlpatterns = [path("books/", BookViewSet.as_view({"get": "alist"}))]
call_command("migrate", verbosity=0)
books(30)
ask("/books/")
""",
        "adrf==0.1.12",
        "djangorestframework==3.16.1",
        apps=', "rest_framework"',
    )
    storm = the(site.findings("hop_storm"))
    assert storm["asgiscope.request.hops_at_site"] >= 30
    assert storm["asgiscope.user_object.kind"] == "serializer"
    assert storm["asgiscope.user_object"].endswith(".BookSerializer")
    assert storm["code.function.name"] == "BookSerializer"
    assert site.source(storm)
    assert (
        "/adrf/" in storm["asgiscope.library_site"] or "/rest_framework/" in storm["asgiscope.library_site"]
    )


def test_the_view_behind_sentrys_wrapper_is_named(tmp_path: Path) -> None:
    """Its wrapper stands around every view; a decorator of the site's own too."""
    site = run(
        tmp_path,
        """
import functools
import sentry_sdk
from django.views import View

def checked(view):
    @functools.wraps(view)
    async def wrapper(request):
        return await view(request)
    return wrapper

@checked
async def listing(request):
    return HttpResponse(str(User.objects.count()))

class Detail(View):
    async def get(self, request):
        return HttpResponse(str(User.objects.count()))

urlpatterns = [path("listing/", listing), path("detail/", Detail.as_view())]
sentry_sdk.init(dsn="http://key@127.0.0.1:1/1", traces_sample_rate=1.0, shutdown_timeout=0)
ask("/listing/", "/detail/")
""",
        "sentry-sdk==2.44.0",
    )
    told = {each["http.route"]: each for each in site.findings("refusal")}
    assert told["/listing/"]["asgiscope.chain"][0] == "view listing"
    assert told["/detail/"]["asgiscope.chain"][0] == "view Detail.get"
    assert told["/listing/"]["asgiscope.user_object"] == "__main__.listing"
    assert told["/detail/"]["asgiscope.user_object"] == "__main__.Detail"


def test_contention_between_consumers_names_both_methods(tmp_path: Path) -> None:
    """Both of the waiter and of the holder, behind SyncConsumer.dispatch."""
    site = run(
        tmp_path,
        """
from channels.consumer import SyncConsumer
from asgiref.testing import ApplicationCommunicator

class Chat(SyncConsumer):
    def test_slow(self, message):
        time.sleep(0.3)

class Ticker(SyncConsumer):
    def test_quick(self, message):
        pass

async def main():
    slow = ApplicationCommunicator(Chat.as_asgi(), {"type": "test"})
    quick = ApplicationCommunicator(Ticker.as_asgi(), {"type": "test"})
    await slow.send_input({"type": "test.slow"})
    await asyncio.sleep(0.1)
    await quick.send_input({"type": "test.quick"})
    await asyncio.sleep(0.6)
    await slow.wait(0.1)
    await quick.wait(0.1)

with record() as seen:
    asyncio.run(main())
    links = [dict(link.attributes) for span in seen._spans() for link in span.links]
    print("LINKS" + json.dumps(links, default=str))
    told(seen)
""",
        "channels==4.3.1",
    )
    found = the(site.findings("contention"))
    assert found["code.function.name"] == "Ticker.test_quick"
    assert found["asgiscope.user_object"] == "__main__.Ticker.test_quick"
    assert found["asgiscope.user_object.kind"] == "consumer"
    assert site.source(found) == "def test_quick(self, message):"
    assert '"asgiscope.link.function": "Chat.test_slow"' in site.output
    assert '"code.function.name": "Chat.test_slow"' in site.output


@pytest.mark.parametrize("optimised", [False, True])
def test_resolvers_of_a_schema_are_named_by_their_field(tmp_path: Path, optimised: bool) -> None:
    """Without the optimizer a row makes a hop; with it there is no storm."""
    extensions = "[DjangoOptimizerExtension]" if optimised else "[]"
    site = run(
        tmp_path,
        MODELS
        + f"""
import strawberry
import strawberry_django
from strawberry.django.views import AsyncGraphQLView
from strawberry_django.optimizer import DjangoOptimizerExtension

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

schema = strawberry.Schema(Query, extensions={extensions})
urlpatterns = [path("graphql/", AsyncGraphQLView.as_view(schema=schema))]
call_command("migrate", verbosity=0)
books(60)

async def main():
    client = AsyncClient()
    query = {{"query": "{{books {{title author {{name}}}}}}"}}
    answer = await client.post("/graphql/", query, content_type="application/json")
    print(answer.content[:300])

with record() as seen:
    asyncio.run(main())
    told(seen)
""",
        "strawberry-graphql-django==0.93.0",
        "graphql-core==3.3.2",
    )
    storms = site.findings("hop_storm")
    if optimised:
        assert storms == []
        return
    storm = the(storms)
    assert storm["asgiscope.request.hops_at_site"] >= 50, site.output
    assert storm["asgiscope.user_object.kind"] == "field"
    assert storm["asgiscope.user_object"] == "BookType.author"
