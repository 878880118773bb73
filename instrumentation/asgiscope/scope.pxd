import cython


cdef class Scope:
    cdef public long long started
    cdef public long long ended
    cdef public long level
    cdef public Scope parent
    cdef public object within
    cdef public object origin
    cdef public object foreign
    cdef public object otel
    cdef public object tags
    cdef public bint sampled
    cdef public object _trace_id
    cdef public object _span_id
    cdef object __weakref__
    @cython.locals(level=cython.long)
    cpdef object _begin(self, Scope parent, long long started)


cdef class Operation(Scope):
    cdef public object kind
    cdef public object name
    cdef public bint on_loop
    cdef public bint guarded
    cdef public object site
    cdef public dict attributes
