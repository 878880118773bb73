"""Pools: thread pools with every worker busy, and what occupied them."""

from pydantic import BaseModel, Field

from asgiscope_collector.schemas.common import CallSite, Holder


class PoolUser(BaseModel):
    """A function that ran in a pool."""

    function: str
    call_site: CallSite
    calls: int
    run_ns: int
    wait_ns: int
    share: float = Field(description="of the run time of all that ran there, 0 to 1")


class PoolPoint(BaseModel):
    """One step of a pool's series."""

    time_ns: int
    calls: int
    run_ns: int
    wait_ns: int
    saturation: float


class Pool(BaseModel):
    """The pools of a service's processes with the same number of workers."""

    service: str
    workers: int = Field(description="of one process; 0 where it is not known")
    processes: int
    calls: int
    queued: int
    run_ns: int
    wait_ns: int
    wait_p50_ns: int
    wait_p95_ns: int
    longest_ns: int
    saturation: float = Field(description="run time / (workers x processes x time seen), 0 to 1")
    starved: int = Field(description="calls that waited because every worker was busy")
    finding_ids: list[str]
    users: list[PoolUser] = Field(description="the most run time first")
    filled_by: list[Holder] = Field(description="what occupied the workers while calls waited")
    series: list[PoolPoint]


class Pools(BaseModel):
    """A page of thread pools, the longest waits first."""

    step_ns: int
    pools: list[Pool]
    total: int
