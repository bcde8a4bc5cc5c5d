"""The errors fastbp raises. Each message names the argument, what came and what was wanted."""


class FastbpError(Exception):
    """Base of every error that fastbp raises on purpose."""


class ShapeError(FastbpError, ValueError):
    """An array has the wrong number of axes, the wrong size or the wrong memory layout."""


class LabelError(FastbpError, ValueError):
    """A target is no class of the network, no probability row, or no label at all."""


class NonFiniteError(FastbpError, ValueError):
    """NaN or infinity where only finite numbers make sense."""


class ConfigError(FastbpError, ValueError):
    """A constructor or call argument that is no array has a value that makes no sense."""


class DtypeError(FastbpError, TypeError):
    """An array's dtype (or an argument's type) is one fastbp does not compute with."""


class UnknownNameError(FastbpError, KeyError, ValueError):
    """No layer, loss, parameter or quantity goes by this name or index.

    A KeyError, so that ``in`` and ``get`` work on the mappings that raise it.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError shows the repr


class PluginError(FastbpError, ImportError):
    """A registered part could not be loaded."""


class PluginCallError(FastbpError, RuntimeError):
    """A part's own function failed, or broke its contract, while it was called."""


class OptimizerError(FastbpError, ValueError):
    """The optimizer does not fit the optimizer state that the network holds."""


class CheckpointError(FastbpError, OSError):
    """A file could not be written, or is no intact fastbp file."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}" if self.filename else super().__str__()
