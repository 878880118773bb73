import cython


@cython.locals(code=object)
cpdef object near(object frame, long depth=*)

cpdef object owner(object code)

cdef object _site(object code, object lasti)

@cython.locals(frames=list, depth=cython.long)
cpdef list stack(object frame)

@cython.locals(found=list, depth=cython.long)
cpdef list trace(object frame)

cpdef list here()

cpdef object essence(object func)
