/* The C body of the Huber loss, and the capsule that hands it to fastbp. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fastbp/plugin.h>

#define real float
#define TYPED(name) name##_f32
#include "body.h"
#undef real
#undef TYPED
#define real double
#define TYPED(name) name##_f64
#include "body.h"

static const fastbp_loss table = {
    .struct_size = sizeof(fastbp_loss),
    .minor = FASTBP_MINOR,
    .flags = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE,
    .loss_and_delta = {loss_and_delta_f32, loss_and_delta_f64},
    .y_hat = {y_hat_f32, y_hat_f64},
};

static void release(PyObject *capsule) { PyMem_RawFree(PyCapsule_GetContext(capsule)); }

/* capsule(threshold): the table for every instance, and the threshold of this one as context. */
static PyObject *capsule(PyObject *module, PyObject *argument) {
    (void)module;
    double threshold = PyFloat_AsDouble(argument);
    if (threshold == -1 && PyErr_Occurred())
        return NULL;
    double *context = PyMem_RawMalloc(sizeof *context);
    if (!context)
        return PyErr_NoMemory();
    *context = threshold;
    PyObject *made = PyCapsule_New((void *)&table, FASTBP_LOSS_V1, release);
    if (!made || PyCapsule_SetContext(made, context)) {
        Py_XDECREF(made); /* its context is still NULL, which PyMem_RawFree takes */
        PyMem_RawFree(context);
        return NULL;
    }
    return made;
}

static PyMethodDef methods[] = {
    {"capsule", capsule, METH_O, "The capsule of a Huber loss with this threshold."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_huber", .m_methods = methods};

PyMODINIT_FUNC PyInit__huber(void) { return PyModule_Create(&definition); }
