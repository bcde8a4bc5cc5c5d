"""From a part to its C table: capsules read, checked and copied, once, when a network is built."""

from cpython.pycapsule cimport (
    PyCapsule_CheckExact, PyCapsule_GetContext, PyCapsule_GetName, PyCapsule_GetPointer,
    PyCapsule_IsValid,
)
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t
from libc.string cimport memcpy, memset

from fastbp.errors import DtypeError, PluginError

from fastbp.kernels.blas cimport ready
from fastbp.plugin cimport (
    FASTBP_ELEMENTWISE_V1, FASTBP_ENTRIES_INDEPENDENT, FASTBP_INFALLIBLE, FASTBP_LAYER_V1,
    FASTBP_LOSS_V1, FASTBP_MINOR, FASTBP_NEEDS_X, FASTBP_ROWS_INDEPENDENT, FASTBP_WHOLE_BATCH,
    fastbp_elementwise, fastbp_layer, fastbp_loss,
)

# Sizes of the tables of version 1.0. They stay as they are when a table grows: a struct's last
# member of 1.0 ends here.
cdef extern from *:
    """
    #include <fastbp/plugin.h>
    enum {
        LAYER_1_0 = offsetof(fastbp_layer, scratch) + sizeof(void *),
        ELEMENTWISE_1_0 = offsetof(fastbp_elementwise, backward) + 2 * sizeof(void *),
        LOSS_1_0 = offsetof(fastbp_loss, scratch) + sizeof(void *)
    };
    """
    enum:
        LAYER_1_0
        ELEMENTWISE_1_0
        LOSS_1_0

# The flags that mean something in each kind of table.
cdef uint32_t LAYER_FLAGS = FASTBP_ROWS_INDEPENDENT | FASTBP_INFALLIBLE
cdef uint32_t ELEMENTWISE_FLAGS = LAYER_FLAGS | FASTBP_NEEDS_X | FASTBP_ENTRIES_INDEPENDENT
cdef uint32_t LOSS_FLAGS = LAYER_FLAGS | FASTBP_WHOLE_BATCH


cdef object copy_table(
        object part, str method, const char* name, str label, void* table, size_t own, size_t least,
        uint32_t flags, void** context):
    # The capsule, for the caller to keep alive; its table is copied as far as both know it. One
    # that means something unknown is refused: what is ignored would go wrong without a word.
    ready()  # for the host's matrix product, which the table's functions may call
    try:
        capsule = getattr(part, method)()
    except MemoryError:
        raise
    except Exception as exc:
        raise PluginError(f"{label}: {method}() failed ({type(exc).__name__}: {exc})") from exc
    if not PyCapsule_CheckExact(capsule):
        raise PluginError(f"{label}: {method}() gave {capsule!r}; wanted a PyCapsule")
    if not PyCapsule_IsValid(capsule, name):
        found = PyCapsule_GetName(capsule)
        raise PluginError(
            f"{label}: {method}() gave a capsule named {found.decode() if found else None!r}; "
            f"this fastbp knows {name.decode()!r}: the two were made for different versions of "
            "the contract"
        )
    cdef void* source = PyCapsule_GetPointer(capsule, name)
    cdef const uint32_t* head = <const uint32_t*>source  # size, minor, flags, least_minor
    cdef size_t size = head[0]
    if size < least:
        raise PluginError(
            f"{label}: {method}() gave a table of {size} bytes; version 1.0 has {least}"
        )
    if head[3] > FASTBP_MINOR:
        raise PluginError(
            f"{label}: {method}() gave a table of version 1.{head[1]} of the contract, which needs "
            f"1.{head[3]} or later; this fastbp knows 1.{FASTBP_MINOR}"
        )
    if head[2] & ~flags:
        raise PluginError(
            f"{label}: {method}() gave a table of version 1.{head[1]} of the contract with flags "
            f"{head[2] & ~flags:#x}; this fastbp knows 1.{FASTBP_MINOR}, where such a table has no "
            "such flags"
        )
    memset(table, 0, own)
    memcpy(table, source, min(size, own))
    context[0] = PyCapsule_GetContext(capsule)
    return capsule


cdef object require(str label, str function, int type, bint have, bint have_other):
    # One of the two functions, or an error that says whether the part computes at all.
    if have:
        return
    if have_other:
        wanted, other = ("float64", "float32") if type else ("float32", "float64")
        raise DtypeError(f"{label}: computes in {other} only; wanted {wanted}")
    raise PluginError(f"{label}: its table has no function {function!r}")


cdef bint has_capsule(object part, str method, tuple bodies):
    # Whether the part has a C body that speaks for it: not where a subclass gives one of the
    # Python functions anew, since the capsule that it inherits knows nothing of that.
    if not hasattr(part, method):
        return False
    for cls in type(part).__mro__:
        if method in vars(cls):
            return True
        if any(name in vars(cls) for name in bodies):
            return False
    return True


cdef uint32_t flags_of(const LayerTable* table) noexcept nogil:
    if table.body == PYTHON:
        return ~<uint32_t>0
    return table.elementwise.flags if table.body == ELEMENTWISE else table.layer.flags


cdef object read_layer(object part, str label, int type, LayerTable* table):
    # Fill table; return what must be kept alive.
    cdef int other = 1 - type
    memset(table, 0, sizeof(LayerTable))
    if has_capsule(part, "__fastbp_elementwise__", ("f", "df", "forward", "backward")):
        table.body = ELEMENTWISE
        kept = copy_table(
            part, "__fastbp_elementwise__", FASTBP_ELEMENTWISE_V1, label, &table.elementwise,
            sizeof(fastbp_elementwise), ELEMENTWISE_1_0, ELEMENTWISE_FLAGS, &table.context)
        require(label, "f", type, table.elementwise.f[type] != NULL,
                table.elementwise.f[other] != NULL)
        if table.elementwise.backward[type] == NULL:
            require(label, "df", type, table.elementwise.df[type] != NULL,
                    table.elementwise.df[other] != NULL)
        return kept
    if has_capsule(part, "__fastbp_layer__", ("forward", "backward")):
        table.body = LAYER
        kept = copy_table(
            part, "__fastbp_layer__", FASTBP_LAYER_V1, label, &table.layer, sizeof(fastbp_layer),
            LAYER_1_0, LAYER_FLAGS, &table.context)
        require(label, "forward", type, table.layer.forward[type] != NULL,
                table.layer.forward[other] != NULL)
        require(label, "backward", type, table.layer.backward[type] != NULL,
                table.layer.backward[other] != NULL)
        return kept
    table.body = PYTHON
    return None


cdef object read_loss(object part, str label, int type, LossTable* table):
    # Fill table; return what must be kept alive.
    memset(table, 0, sizeof(LossTable))
    table.whole_batch = not part.rows_independent
    table.python = not has_capsule(
        part, "__fastbp_loss__", ("loss_and_delta", "batch_loss_and_delta", "y_hat"))
    if table.python:
        return None
    kept = copy_table(
        part, "__fastbp_loss__", FASTBP_LOSS_V1, label, &table.loss, sizeof(fastbp_loss), LOSS_1_0,
        LOSS_FLAGS, &table.context)
    require(label, "loss_and_delta", type, table.loss.loss_and_delta[type] != NULL,
            table.loss.loss_and_delta[1 - type] != NULL)
    whole_batch = table.loss.flags & FASTBP_WHOLE_BATCH != 0
    if whole_batch != table.whole_batch or (
            whole_batch and table.loss.flags & FASTBP_ROWS_INDEPENDENT):
        raise PluginError(
            f"{label}: __fastbp_loss__() gave a table with flags {table.loss.flags:#x}, while "
            f"rows_independent is {part.rows_independent}; wanted FASTBP_WHOLE_BATCH, without "
            "FASTBP_ROWS_INDEPENDENT, where it is False and only there"
        )
    return kept
