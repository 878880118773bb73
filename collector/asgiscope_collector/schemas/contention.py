"""Contention: which calls wait for which, and what occupies the shared thread."""

from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite


class RoleWaits(BaseModel):
    """Calls by the role of the thread they queued for."""

    executor: str = Field(description="thread role: shared, request, parent or pool")
    calls: int
    queued: int = Field(description="of these, the calls that waited a millisecond or longer")
    wait_ns: int
    run_ns: int
    wait_p50_ns: int
    wait_p95_ns: int
    wait_p99_ns: int
    longest_ns: int
    exact: bool = Field(description="from tallies of every call, not from the spans that were sent")


class Waiter(BaseModel):
    """A row of the matrix: calls that waited, by finding."""

    finding_id: str
    service: str
    function: str = Field(description="the function that was called")
    call_site: CallSite
    wait_ns: int
    count: int


class MatrixHolder(BaseModel):
    """A column of the matrix: a call that held a thread."""

    function: str
    call_site: CallSite
    overlap_ns: int


class Cell(BaseModel):
    """Time that a waiter lost to a holder."""

    waiter: int = Field(description="index in waiters")
    holder: int = Field(description="index in holders")
    overlap_ns: int
    count: int
    trace_id: str = Field(
        description="evidence: the trace of the holder in the longest overlap; '' if unknown"
    )


class Occupant(BaseModel):
    """A function on the shared thread."""

    function: str
    call_site: CallSite
    service: str
    busy_ns: int
    calls: int


class OccupationStep(BaseModel):
    """One step of the chart. A call counts in the step in which it was submitted."""

    time_ns: int
    busy_ns: int
    wait_ns: int
    calls: int
    by: list[int] = Field(
        description="busy time of each of `occupants`, in their order; the rest is of others"
    )


class Occupation(BaseModel):
    """Use of asgiref's shared threads over time, over all processes."""

    step_ns: int
    thread_ns: int = Field(
        description="time of one step that these threads have: the step times the processes"
    )
    occupants: list[Occupant]
    steps: list[OccupationStep]


class Contention(BaseModel):
    """Waiters and holders, the most time lost first."""

    roles: list[RoleWaits]
    waiters: list[Waiter]
    waiters_total: int = Field(description="findings that waited for a call that is named")
    holders: list[MatrixHolder]
    holders_total: int = Field(description="calls that these waiters waited for")
    cells: list[Cell]
    wait_ns: int = Field(description="all waiting in the range that has a finding")
    named_ns: int = Field(description="of which the holders are named; the matrix may show less, see limit")
    shared: Occupation
