import cython

from asgiscope.callsite cimport essence, near
from asgiscope.ledger cimport Call, Queue
from asgiscope.recorder cimport Here, Recorder


cpdef Call made(Recorder recorder, object func, object caller)

cpdef object begun(Recorder recorder, Call call, object watchdog)

@cython.locals(call=Call, queue=Queue)
cdef Call _claim(Recorder recorder, object executor, object role_of, tuple args)

cdef Queue _queue(Recorder recorder, object executor, object role_of)

@cython.locals(here=Here, outer=Call, queue=Queue, now=cython.longlong)
cpdef object _run(Recorder recorder, Call call, object func)

@cython.locals(now=cython.longlong)
cpdef object over(Recorder recorder, Call call, object token)

cdef object _withdraw(Call call)

cpdef object watch_cancellation(Recorder recorder, Call call, object future)
