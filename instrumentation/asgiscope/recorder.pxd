import cython

from asgiscope.callsite cimport essence, near
from asgiscope.ledger cimport Call, Ledger
from asgiscope.scope cimport Operation, Scope
from asgiscope.tally cimport Tallies


cdef class Here:
    cdef public Call call
    cdef public object parked
    cdef public long blocking
    cdef public bint guarded
    cdef public object inner
    cdef public tuple thread
    cdef public object tags
    cpdef tuple know(self)


cdef class Recorder:
    cdef dict __dict__  # its methods can be replaced on an instance, as on one of any class
    cdef object __weakref__
    cdef public object config
    cdef public Ledger ledger
    cdef public object clock
    cdef public object outbox
    cdef public object sample
    cdef public object threads
    cdef public long long wait_ns
    cdef public long long blocked_ns
    cdef public long long parked_ns
    cdef public Tallies tallies
    cdef public object context
    cdef public object otel
    cdef public object keep
    cdef public object begun
    cdef public object follows
    cdef public object watched

    @cython.locals(here=Here)
    cpdef Scope enclosing(self)

    @cython.locals(here=Here)
    cpdef object tags(self)

    cpdef object root(self, Scope scope)

    @cython.locals(parent=Scope)
    cpdef object dress(self, Scope scope)

    cpdef object send(self, Scope scope, object notable)

    @cython.locals(begun=cython.longlong, wait=cython.longlong, ended=cython.longlong, resumed=cython.longlong,
                   resume=cython.longlong)
    cpdef object settle(self, Call call)
