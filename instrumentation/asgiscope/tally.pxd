import cython


cdef class Histogram:
    cdef public long count
    cdef public long long sum_ns
    cdef public long zero
    cdef public long long least
    cdef public long long greatest
    cdef public dict buckets
    cpdef object add(self, long long duration_ns)


cdef class BridgeRow:
    cdef public list crossings
    cdef public Histogram wait
    cdef public Histogram run
    cdef public long long resume_ns


cdef class Tallies:
    cdef object __weakref__
    cdef public object _lock
    cdef public object _rows
    cdef public object _inbox
    cpdef object crossed(self, object request, object crossing, object origin=*)
    cdef object _put(self, object what)
    cdef object _take(self, object what)
    cdef object _bridges(self, object crossings, object route)
