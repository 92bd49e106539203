"""tvmsr: a compiler and edge runtime for image super-resolution.

Every command of the command line is a function here, with the same name and arguments: `tvmsr.compile(...)`,
`tvmsr.calibrate(...)`, `tvmsr.upscale(...)`, `tvmsr.evaluate(...)`, `tvmsr.compare(...)`, `tvmsr.report(...)`,
`tvmsr.bench(...)`, `tvmsr.inspect(...)`, `tvmsr.verify(...)`, `tvmsr.targets()`, `tvmsr.models()`, `tvmsr.demo(...)`,
`tvmsr.doctor()`.
Those of `tvmsr device` are `tvmsr.add_device(...)`, `list_devices`, `remove_device`, `doctor_device`, `serve_device`
and `build_device`, and `tvmsr.device("pi5")` is a device to run things on. `tvmsr.load(path)` opens an artifact; it
needs numpy and Pillow only. Nothing else is imported before a function is called.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

__version__ = "0.1.0"

#: Where each public function lives; imported when it is first asked for.
_PUBLIC = {
    "load": "tvmsr.runtime",
    "load_model": "tvmsr.frontend",
    "compile": "tvmsr.commands.compile",
    "calibrate": "tvmsr.commands.calibrate",
    "upscale": "tvmsr.commands.upscale",
    "evaluate": "tvmsr.commands.evaluate",
    "compare": "tvmsr.commands.compare",
    "report": "tvmsr.commands.report",
    "bench": "tvmsr.commands.bench",
    "inspect": "tvmsr.commands.inspect",
    "verify": "tvmsr.commands.verify",
    "targets": "tvmsr.commands.targets",
    "models": "tvmsr.commands.models",
    "demo": "tvmsr.commands.demo",
    "doctor": "tvmsr.commands.doctor",
    "device": "tvmsr.devices.handle",
    "add_device": "tvmsr.commands.devices.add",
    "list_devices": "tvmsr.commands.devices.listing",
    "remove_device": "tvmsr.commands.devices.listing",
    "doctor_device": "tvmsr.commands.devices.doctor",
    "serve_device": "tvmsr.commands.devices.serve",
    "build_device": "tvmsr.commands.devices.build",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tvmsr' has no attribute {name!r}")
    if name != "load" and find_spec("pydantic") is None:
        raise ImportError(
            f"tvmsr.{name} needs the whole installation: pip install tvmsr without --no-deps; this one runs artifacts"
        )
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
