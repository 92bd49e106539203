"""The entry of `tvmsr`: runs the command line and turns every expected error into one line and an exit code."""

from __future__ import annotations

import logging
import signal
import sys

#: Exit codes beside those that errors carry (tvmsr.errors): 0 done, 1 failed, 2 usage, 3 input file, 4 device.
INTERRUPTED = 130
FAILED = 1
MISSING_CLI = (
    "error: the command line needs typer and rich, which this runtime-only installation lacks; "
    "pip install tvmsr (without --no-deps), or use tvmsr.load(...) from Python"
)


def _complain(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        return _run(arguments)
    except (KeyboardInterrupt, EOFError):
        _complain("interrupted")
        return INTERRUPTED


def _run(arguments: list[str] | None) -> int:
    try:
        from tvmsr.cli.app import app
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.stderr.write(MISSING_CLI + "\n")
        return FAILED
    from tvmsr.errors import TvmsrError

    try:
        result = app(args=arguments, standalone_mode=False, prog_name="tvmsr")
        if result == INTERRUPTED:  # typer turns Ctrl-C into this code
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except TvmsrError as error:
        _complain(str(error))
        return error.exit_code
    except MemoryError:
        _complain("out of memory")
        return FAILED
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """Wrong usage as typer reports it; anything else is ours, named in one line unless --verbose asks for all of it."""
    if type(error).__name__ == "Abort":
        _complain("interrupted")
        return INTERRUPTED
    show = getattr(error, "show", None)
    if callable(show) and hasattr(error, "exit_code"):
        show()
        return int(error.exit_code)
    if logging.getLogger("tvmsr").isEnabledFor(logging.INFO):
        raise error
    if isinstance(error, OSError):
        _complain(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
        return FAILED
    text = " ".join(str(error).split())[:300]
    _complain(f"unexpected {type(error).__name__}: {text} (this is a bug of tvmsr; --verbose shows where)")
    return FAILED


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def run() -> None:
    """Console script. Who asks it to end gets the same clean end as with Ctrl-C."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores one of them
            signal.signal(number, _interrupt)
    code = main()
    if code == INTERRUPTED:  # who presses Ctrl-C again while threads end would be shown where Python waits for them
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    run()
