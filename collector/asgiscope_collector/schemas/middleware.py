"""Middleware: the chain of each service, and the hops that it costs."""

from pydantic import BaseModel, Field


class Layer(BaseModel):
    """One middleware of a chain; the last layer is `view`."""

    name: str
    mode: str = Field(description="async, sync or both: what it is capable of")
    adapted: str = Field(description="what Django put around it: '', sync_to_async or async_to_sync")
    hops: int = Field(description="crossings that its adaptation costs each request")
    hook_hops: float = Field(
        description="crossings that its own process_request and other hooks make, a request on average"
    )
    calls: int = Field(
        description="of its adaptation, of the spans that were sent, and of its hooks, of all that is counted"
    )
    wait_ns: int
    resume_ns: int


class Change(BaseModel):
    """A change to the chain, and what it saves."""

    layers: list[str]
    title: str
    reason: str
    saves_hops: int = Field(
        description="a request, if nothing else of the chain changes; below 0: the hops that it adds"
    )


class Chain(BaseModel):
    """The middleware chain of a service, as last loaded."""

    service: str
    environment: str
    version: str
    loaded: str = Field(description="when a process loaded it last")
    layers: list[Layer] = Field(description="outermost first")
    hops: int = Field(description="crossings that the chain's adaptations cost each request")
    hook_hops: float = Field(description="crossings that its middlewares' hooks make, a request on average")
    hops_per_request: float = Field(
        description="all crossings of a request on average, the view's own included"
    )
    requests: int
    changes: list[Change] = Field(description="what to change first, first")


class Middleware(BaseModel):
    """A page of the services' chains, by service and environment."""

    chains: list[Chain]
    total: int
