"""The libraries of the suite, in the order in which they run."""

from tests.compat.libraries.catalogue import Library, Misuse

BOOKS = ("/books/", "/books-sync/")
_CSRF = r"csrfmiddlewaretoken[^>]*>"
_GRAPHQL = "?query=%7Bbooks%7Btitle%20author%7Bname%7D%7D%7D"
PSYCOPG = "psycopg[binary,pool]==3.3.9"

LIBRARIES = (
    Library(
        "toolbar_site",
        ("django-debug-toolbar==8.0.0",),
        healthy=BOOKS,
        volatile=(r'(?s)<div id="djDebug".*', r"data-[a-z-]+=\"[^\"]*\""),
        true_findings=(
            "loop_blocked DebugToolbarMiddleware.__acall__",
        ),  # it renders all its panels on the loop
    ),
    Library(
        "silk_site",
        ("django-silk==5.6.0",),
        healthy=BOOKS,
        true_findings=("sync_middleware SilkyMiddleware.__call__",),  # it has no asynchronous form
    ),
    Library("prometheus_site", ("django-prometheus==2.5.0",), healthy=BOOKS, django="django==6.0.10"),
    Library(
        "ninja_site", ("django-ninja==1.7.1",), healthy=("/api/books", "/api/books-sync", "/api/books/1")
    ),
    Library(
        "adrf_site",
        ("adrf==0.1.14", "djangorestframework==3.18.3"),
        healthy=("/authors/",),
        misuses=(Misuse("/nested/", "hop_storm", "BookSerializer"),),
    ),
    Library(
        "strawberry_site",
        ("strawberry-graphql-django==0.93.0",),
        healthy=(f"/graphql/{_GRAPHQL}",),
        misuses=(
            Misuse(
                f"/plain/{_GRAPHQL}",
                "hop_storm",
                "django_resolver.<locals>.wrapper.<locals>.inner_wrapper",
                user_object="BookType.author",
            ),
        ),
    ),
    Library("channels_site", ("channels==4.3.2",), healthy=BOOKS, sockets=("/ws/", "/ws-sync/")),
    Library("redis_site", ("django-redis==7.0.0",), healthy=("/cached/", "/cached-sync/"), needs=("redis",)),
    Library(
        "valkey_site", ("django-valkey==0.4.1", "valkey==6.2.0"), healthy=("/cached/",), needs=("redis",)
    ),
    Library("tasks_site", (), healthy=("/enqueues/", "/enqueues-sync/")),
    Library(
        "procrastinate_site",
        ("procrastinate[django]==3.10.0", PSYCOPG),
        healthy=("/defers/", "/defers-sync/"),
        needs=("postgres",),
    ),
    Library("eventstream_site", ("django-eventstream==5.3.4",), healthy=("/sends/",), streams=("/events/",)),
    Library(
        "wagtail_site",
        ("wagtail==8.0.1",),
        healthy=("/", "/admin/login/"),
        volatile=(_CSRF, r'"CSRF_TOKEN": "[^"]*"', r"\?v=[0-9a-f]{8}"),  # the last is made of INSTALLED_APPS
    ),
    Library(
        "cms_site",
        ("django-cms==5.1.3",),
        healthy=("/",),
        true_findings=("sync_middleware LanguageCookieMiddleware.__call__",),  # it has no asynchronous form
    ),
    Library(
        "allauth_site",
        ("django-allauth==65.22.1",),
        healthy=("/accounts/login/", "/accounts/signup/", *BOOKS),
        volatile=(_CSRF,),
    ),
    Library(
        "auditlog_site",
        ("django-auditlog==3.4.1",),
        healthy=("/visits/", "/visits-sync/"),
        true_findings=("sync_middleware AuditlogMiddleware.__call__",),  # it has no asynchronous form
    ),
    Library(
        "whitenoise_site",
        ("whitenoise==6.12.0",),
        healthy=("/static/shop/book.css", *BOOKS),
        true_findings=(
            "sync_middleware WhiteNoiseMiddleware.__call__",  # it has no asynchronous form
            "stream_read_whole WhiteNoiseMiddleware.serve",  # of which Django itself warns in the log
        ),
    ),
    Library("sentry_site", ("sentry-sdk==2.75.0",), healthy=BOOKS),
    Library(
        "async_backend_site",
        ("django-async-backend==6.1.5", PSYCOPG),
        healthy=("/books/",),
        misuses=(Misuse("/waits/", "connection_wait", "waits.<locals>.one"),),
        needs=("postgres",),
    ),
    Library(
        "pool_site",
        (PSYCOPG,),
        healthy=("/books/", "/in-thread/"),
        misuses=(Misuse("/waits/", "connection_wait", "hold"),),
        needs=("postgres",),
    ),
)
