__pyx_capi__: dict[str, object]  # the C side, for cimport
