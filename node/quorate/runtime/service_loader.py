"""From ``module:Class`` in the configuration to an instance of the author's service.

Whatever the author's code does wrong here ends in one line that names the setting, what was
looked for and what went wrong; the traceback stays reachable as the error's cause.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from types import ModuleType

from quorate.errors import ConfigurationError
from quorate.service.api import ClusteredService


def load_service(spec: str, service_config: str = "") -> ClusteredService:
    """Import the class and make the one instance that this member runs.

    Args:
        spec: ``module:Class``; the class may be nested (``module:Outer.Inner``).
        service_config: Handed to the constructor if that takes a positional argument; an empty one
            only if the argument has no default.

    Raises:
        ConfigurationError: The module cannot be imported, has no such class, the class is not
            a ClusteredService, its constructor raises or wants other arguments, or a
            configuration is given to a class that takes none.

    Blocking:
        Runs the author's module and constructor.

    """
    module_name, _, class_name = spec.partition(":")
    service_class = _find_class(_import(module_name, spec), class_name, spec)
    takes_config = _accepts(service_class, spec, "")
    make: Callable[..., object] = service_class
    if service_config and not takes_config:
        raise _problem(
            spec,
            f"its constructor takes no argument, so member.service_config "
            f"({service_config[:40]!r}) would be lost",
        )
    try:
        hands_over = takes_config and (service_config or not _accepts(service_class, spec))
        service: object = make(service_config) if hands_over else make()
    except Exception as error:
        raise _problem(spec, f"its constructor raised {_describe(error)}") from error
    if not isinstance(service, ClusteredService):
        raise _problem(spec, f"calling it made a {type(service).__name__}, not a ClusteredService")
    return service


def _import(name: str, spec: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            text = (
                f"there is no module {error.name!r} on Python's path; "
                "install its package or put its folder into PYTHONPATH"
            )
            raise _problem(spec, text) from error
        raise _problem(spec, f"importing {name!r} raised {_describe(error)}") from error
    except Exception as error:
        raise _problem(spec, f"importing {name!r} raised {_describe(error)}") from error


def _find_class(module: ModuleType, class_name: str, spec: str) -> type[ClusteredService]:
    found: object = module
    for part in class_name.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise _problem(
                spec,
                f"module {module.__name__!r} has no {class_name!r}" + _suggest(module, class_name),
            )
    if not isinstance(found, type) or not issubclass(found, ClusteredService):
        kind = f"class {found.__name__}" if isinstance(found, type) else type(found).__name__
        raise _problem(
            spec,
            f"it is a {kind}, not a subclass of ClusteredService" + _suggest(module, class_name),
        )
    return found


def _suggest(module: ModuleType, class_name: str) -> str:
    services = sorted(
        name
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, ClusteredService)
        and value.__module__ == module.__name__
    )
    near = difflib.get_close_matches(class_name, services, n=1, cutoff=0.0)
    return f"; did you mean {module.__name__}:{near[0]}?" if near else ""


def _accepts(service_class: type[ClusteredService], spec: str, *arguments: str) -> bool:
    """Tell whether the constructor can be called with these arguments."""
    try:
        signature = inspect.signature(service_class)
    except (TypeError, ValueError) as error:
        raise _problem(spec, f"its constructor cannot be inspected: {error}") from error
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _problem(spec: str, text: str) -> ConfigurationError:
    return ConfigurationError([f"member.service is {spec!r}: {text}"])


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
