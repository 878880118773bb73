"""The site's addresses."""

from django.urls import path

from .views import AsyncUpload, Upload, keep, ready, services, upload

urlpatterns = [
    path("ready/", ready),
    path("store/<str:name>", keep),
    path("services/", services),
    path("framework/<str:store>/", Upload.as_view()),
    path("adrf/<str:store>/", AsyncUpload.as_view()),
    path("plain/<str:store>/", upload),
]
