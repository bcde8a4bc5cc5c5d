"""The ways to run the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastbp.errors import ConfigError
from fastbp.kernels.modes import kept_mode
from fastbp.testing.registry import CHECKS, Check
from fastbp.testing.subjects import examples, kind_of, title


def checks_for(part: Any) -> list[tuple[str, Callable[[], object]]]:
    """The checks that the contract asks of a part, each with its name.

    Parameters
    ----------
    part : Layer, Loss, class of either, or str
        An instance is checked as it is. Of a class, or a name, the instances that its class method
        ``examples()`` returns are checked; without one, an instance without arguments. A class
        method ``bad_examples()`` may return dicts of arguments that the constructor must refuse. A
        loss whose targets are special may have ``example_targets(rng, rows, n_out)``.

    Returns
    -------
    list of (str, callable)
        A check takes nothing and raises AssertionError, or what the part raised.

    Raises
    ------
    UnknownNameError, PluginError, ConfigError
        There is no such part, it cannot be loaded, or there is no example of it.

    Examples
    --------
    >>> from fastbp.testing import checks_for
    >>> name, check = checks_for("relu")[0]
    >>> name
    'spec'
    >>> check()
    """
    if not __debug__:
        raise ConfigError("python -O removes the checks' assertions; wanted Python without -O")
    parts = examples(part)
    return [(check.__name__, _on_all(check, parts)) for check in CHECKS[kind_of(part)]]


def check_layer(layer: Any) -> None:
    """Check that a layer keeps the contract.

    Parameters
    ----------
    layer : Layer, class or str
        See :func:`checks_for`.

    Raises
    ------
    AssertionError
        It does not; the message has a line for every check that failed.
    UnknownNameError, PluginError, ConfigError
        As for :func:`checks_for`.

    Examples
    --------
    >>> import numpy as np, fastbp as bp
    >>> from fastbp.testing import check_layer
    >>> class Broken(bp.layers.Elementwise):
    ...     def f(self, x, y):
    ...         np.multiply(x, x, out=y)
    ...     def df(self, x, y, out):
    ...         out[...] = x  # wrong: 2 x
    >>> check_layer(Broken())  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    AssertionError: Broken(): ... of ... checks failed
    gradients: Broken(), Python body, float64, width 5, 4 rows: dx is ...
    """
    _check(layer, "layer")


def check_loss(loss: Any) -> None:
    """Check that a loss keeps the contract.

    Parameters
    ----------
    loss : Loss, class or str
        See :func:`checks_for`.

    Raises
    ------
    AssertionError
        It does not; the message has a line for every check that failed.
    UnknownNameError, PluginError, ConfigError
        As for :func:`checks_for`.

    Examples
    --------
    >>> from fastbp.testing import check_loss
    >>> check_loss("squared_error")
    """
    _check(loss, "loss")


def parametrize_checks(parts: Iterable[Any]) -> Any:
    """A pytest decorator: one test for each part and check.

    Parameters
    ----------
    parts : iterable of Layer, Loss, class or str
        See :func:`checks_for`.

    Returns
    -------
    pytest.MarkDecorator
        Gives the test an argument ``check``, to be called.

    Examples
    --------
    >>> import fastbp as bp
    >>> from fastbp.testing import parametrize_checks
    >>> @parametrize_checks([bp.ReLU(), "huber"])  # doctest: +SKIP
    ... def test_contract(check):
    ...     check()
    """
    import pytest  # not needed by those who check without it

    rows = [
        pytest.param(check, id=f"{title(part)}-{name}")
        for part in parts
        for name, check in checks_for(part)
    ]
    return pytest.mark.parametrize("check", rows)


def _check(part: Any, kind: str) -> None:
    found = kind_of(part)
    if found != kind:
        raise ConfigError(f"{title(part)}: got a {found}; wanted a {kind}")
    checks = checks_for(part)
    lines = []
    for name, check in checks:
        try:
            check()
        except AssertionError as exc:
            lines.append(f"{name}: {exc}")
        except Exception as exc:
            lines.append(f"{name}: raised {type(exc).__name__}: {exc}")
    if lines:
        head = f"{title(part)}: {len(lines)} of {len(checks)} checks failed"
        raise AssertionError("\n".join([head, *lines]))


def _on_all(check: Check, parts: list[Any]) -> Callable[[], object]:
    def run() -> None:
        for part in parts:
            with kept_mode():
                check(part)

    run.__name__, run.__doc__ = check.__name__, check.__doc__
    return run
