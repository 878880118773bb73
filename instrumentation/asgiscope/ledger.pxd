import cython

from asgiscope.scope cimport Scope


cdef class Call(Scope):
    cdef public Ahead ahead
    cdef public long long busy_after
    cdef public bint cancelled
    cdef public long depth
    cdef public object func
    cdef public object future
    cdef public object kind
    cdef public object maker
    cdef public object middleware
    cdef public Queue queue
    cdef public long long resumed
    cdef public long long run_ended
    cdef public long long run_started
    cdef public tuple run_tags
    cdef public bint settled
    cdef public object site
    cdef public object stack
    cdef public object state
    cpdef object forget_holders(self)


cdef class RunLog:
    cdef public list runs
    cdef public RunLog later


cdef class Ahead:
    cdef public RunLog since
    cdef public long since_at
    cdef public RunLog until
    cdef public long until_at
    cdef public tuple running_then
    cdef public list holders
    cdef public long long unnamed_ns
    cpdef object end(self, Queue queue)
    cpdef object settle(self)
    cpdef list _runs(self)


cdef class Queue:
    cdef public object anchor
    cdef public long long busy
    cdef public object id
    cdef public object lock
    cdef public RunLog log
    cdef public object role
    cdef public dict running
    cdef public dict waiting
    cdef public long workers
    cpdef object submit(self, Call call, long long now)
    cpdef object withdraw(self, Call call)
    cpdef object start(self, Call call, long long now)
    cpdef object end(self, Call call, long long now)


cdef class Ledger:
    cdef object __weakref__
    cdef public object clock
    cdef public object _lock
    cdef public dict by_executor
    cdef public dict requests
    cdef public dict parked
    cdef public long _made
