"""A load that comes from one connection, and the processor time of the process that serves it."""

import http.client
import time


def processor_ns(pid: int) -> int:
    """Return the processor time that a process has used, ended threads included, in ns (`clock_getcpuclockid`)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def ask_in_turn(client: http.client.HTTPConnection, number: int) -> list[int]:
    """Ask for that many pages of a benchmark's site, one after another; return how long each took, in ns."""
    took = []
    for index in range(number):
        begun = time.perf_counter_ns()
        client.request("GET", f"/page/{index}/")
        answer = client.getresponse()
        answer.read()
        took.append(time.perf_counter_ns() - begun)
        assert answer.status == http.HTTPStatus.OK
    return took
