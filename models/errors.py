"""Errors of the models room.

    ModelError
    ├── BadTrainingData       the arrays given can't be learned from (empty, unknown keys, NaN)
    ├── NonFiniteWeights      training diverged: a loss or a weight is NaN or infinite
    ├── UnusableBase          a delta can't be made from this base
    ├── NoItemVectors         a family was asked for similar items and has no vectors of them
    └── RestoreError          a saved model can't be used
        ├── CorruptCheckpoint     a file or array is missing, truncated, altered or not finite
        └── IncompatibleCheckpoint    sound, but of another format version or another configuration

A wrong *argument* (a negative k, arrays of different lengths) is a `ValueError`, as everywhere
in Python: it is a mistake in the calling code, not a state of the world.
"""


class ModelError(Exception):
    """Base of every error that this room raises on purpose."""


class BadTrainingData(ModelError):
    """The arrays given can't be learned from; training on them would be silently wrong."""


class NonFiniteWeights(ModelError):
    """Training diverged. The model in memory must be thrown away; what is saved is intact."""


class UnusableBase(ModelError):
    """A delta can't be made from this base. Nothing was written; a full save is always possible."""


class NoItemVectors(ModelError):
    """The family scores pairs only. Nothing is wrong with the release; it just cannot say this."""


class RestoreError(ModelError):
    """A saved model can't be used. Nothing was loaded."""


class CorruptCheckpoint(RestoreError):
    """A file or array is missing, truncated, altered, not finite or beyond the magnitude limit."""


class IncompatibleCheckpoint(RestoreError):
    """The checkpoint is sound but was written by another format version."""
