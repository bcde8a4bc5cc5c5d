/* The C body of maxout, and the capsule that hands it to fastbp. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fastbp/plugin.h>
#include <string.h>

#define real float
#define TYPE FASTBP_F32
#define TYPED(name) name##_f32
#include "body.h"
#undef real
#undef TYPE
#undef TYPED
#define real double
#define TYPE FASTBP_F64
#define TYPED(name) name##_f64
#include "body.h"

/* One piece of z or dz (rows, n_out), and before it a sum in double for each unit. */
static size_t scratch(void *context, int64_t rows, int64_t n_in, int64_t n_out, int type) {
    (void)context, (void)n_in;
    size_t number = type == FASTBP_F64 ? sizeof(double) : sizeof(float);
    return (size_t)n_out * sizeof(double) + (size_t)rows * (size_t)n_out * number;
}

static const fastbp_layer table = {
    .struct_size = sizeof(fastbp_layer),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE,
    .forward = {forward_f32, forward_f64},
    .backward = {backward_f32, backward_f64},
    .scratch = scratch,
};

static void release(PyObject *capsule) { PyMem_RawFree(PyCapsule_GetContext(capsule)); }

/* capsule(pieces): the table for every instance, and the pieces of this one as context. */
static PyObject *capsule(PyObject *module, PyObject *argument) {
    (void)module;
    long long pieces = PyLong_AsLongLong(argument);
    if (pieces == -1 && PyErr_Occurred())
        return NULL;
    int64_t *context = PyMem_RawMalloc(sizeof *context);
    if (!context)
        return PyErr_NoMemory();
    *context = pieces;
    PyObject *made = PyCapsule_New((void *)&table, FASTBP_LAYER_V1, release);
    if (!made || PyCapsule_SetContext(made, context)) {
        Py_XDECREF(made); /* its context is still NULL, which PyMem_RawFree takes */
        PyMem_RawFree(context);
        return NULL;
    }
    return made;
}

static PyMethodDef methods[] = {
    {"capsule", capsule, METH_O, "The capsule of maxout with so many pieces."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_maxout", .m_methods = methods};

PyMODINIT_FUNC PyInit__maxout(void) { return PyModule_Create(&definition); }
