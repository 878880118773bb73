"""Models shared by several nouns: call sites, affected requests, holders, points of a series, and errors."""

from pydantic import BaseModel, Field


class CallSite(BaseModel):
    """A place in the application: the innermost frame that belongs to it."""

    function: str
    file: str
    line: int


class Victims(BaseModel):
    """Requests that a finding delayed or failed, and separately messages of consumers and background tasks."""

    requests: int
    total_ns: int = Field(description="time that the requests lost")
    messages: int = Field(description="messages of WebSocket consumers")
    tasks: int = Field(description="background tasks")
    background_ns: int = Field(description="time that the messages and tasks lost")


class Holder(BaseModel):
    """A call that occupied the thread while others waited, summed by function, call site and route."""

    function: str
    call_site: CallSite
    route: str
    overlap_ns: int
    count: int
    trace_id: str = Field(description="evidence: a trace in which this call held the thread; '' if unknown")


class Point(BaseModel):
    """One step of a time series."""

    time_ns: int
    requests: int = 0
    count: int = 0
    total_ns: int = 0


class RouteCost(BaseModel):
    """The cost of a problem on one route; '' is work outside any request."""

    route: str
    count: int
    total_ns: int
    victims: Victims


class Responses(BaseModel):
    """Requests by the class of the response's HTTP status code (RFC 9110, section 15)."""

    informational: int = Field(description="1xx")
    successful: int = Field(description="2xx")
    redirection: int = Field(description="3xx")
    client_error: int = Field(description="4xx")
    server_error: int = Field(description="5xx")
    unanswered: int = Field(description="no answer began: the client left, or an exception ended the request")
    unknown: int = Field(description="requests of an asgiscope that sent no classes")


class Problem(BaseModel):
    """An error: what went wrong and what to do."""

    error: str
    hint: str
