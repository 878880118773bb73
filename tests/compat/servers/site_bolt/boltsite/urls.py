"""No view is Django's."""

urlpatterns: list[object] = []
