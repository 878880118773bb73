"""Sessions: signing in and out."""

from typing import Annotated

from pydantic import BaseModel, Field


class Credentials(BaseModel):
    """Name and password."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024)]


class Session(BaseModel):
    """Who is signed in, and which ways to sign in there are."""

    user: str = Field(description="'' for nobody")
    password: bool = Field(description="by name and password")
    oidc: bool = Field(description="with an identity provider")
    required: bool = Field(description="whether the collector asks at all")
