from cython cimport floating

# E2 and E7 of the elementwise layers, over n entries in any shape. An output may be an input
# (the same address), but must not overlap it otherwise. Backward reads the OUTPUT h alone.

cdef void c_relu_forward(const floating* a, floating* h, Py_ssize_t n) noexcept nogil
cdef void c_relu_backward(
    const floating* h, const floating* dh, floating* da, Py_ssize_t n) noexcept nogil

cdef void c_tanh_forward(const floating* a, floating* h, Py_ssize_t n) noexcept nogil
cdef void c_tanh_backward(
    const floating* h, const floating* dh, floating* da, Py_ssize_t n) noexcept nogil

cdef void c_sigmoid_forward(const floating* a, floating* h, Py_ssize_t n) noexcept nogil
cdef void c_sigmoid_backward(
    const floating* h, const floating* dh, floating* da, Py_ssize_t n) noexcept nogil
