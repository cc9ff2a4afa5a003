"""How a command ends: its exit status, and whatever went wrong as one line on standard error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING

import typer
import typer.exceptions

from fewbits.errors import FewbitsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DONE, RUN_FAILED, BAD_REQUEST, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses; 130 is the shell's own for a command that Ctrl-C ended (128 + SIGINT)."""

_LONGEST_WORD = 400
"""Characters of a word of an error that is printed whole; the longest paths of most systems have more."""

PIPE_CLOSED = 141
"""Exit status when the reader of standard output went away, as a shell reports it (128 + SIGPIPE)."""


def told(command: Callable[[], None], known: Sequence[str]) -> int:
    """Run a command and return its exit status; whatever goes wrong is one line on standard error.

    known: names of all commands. FEWBITS_DEBUG=1 in the environment lets an unexpected exception through with its
    traceback.
    """
    try:
        command()
        sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
        return DONE
    except typer.Exit as stop:
        return stop.exit_code
    except KeyboardInterrupt as stop:
        complain(str(stop) or "interrupted: finished work is kept, give the same command again")
        return INTERRUPTED
    except typer.exceptions.TyperException as error:
        return complain(_usage(error, known))
    except FewbitsError as error:
        return complain(str(error))
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except OSError as error:
        _drop_output()
        return complain(_system_problem(error))
    except Exception as error:  # the last line of defence: a person gets a sentence, not a traceback
        if os.environ.get("FEWBITS_DEBUG"):
            raise
        return complain(f"unexpected {type(error).__name__}: {error}; details in {_log_of(error)}")


def _drop_output() -> None:
    """Send what is still to be written nowhere: Python would complain about it at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def complain(message: str) -> int:
    """One line on standard error; words that nobody would read to the end are cut short."""
    words = (word if len(word) <= _LONGEST_WORD else f"{word[:80]}...{word[-20:]}" for word in message.split())
    print("fewbits:", " ".join(words), file=sys.stderr)  # noqa: T201
    return BAD_REQUEST


def _usage(error: typer.exceptions.TyperException, known: Sequence[str]) -> str:
    """The usage error, with where to read on."""
    message = error.format_message().rstrip(".?")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "fewbits"
    listed = f"; the commands are {', '.join(known)}" if "command" in message.lower() else ""
    return f"{message}{listed}; see {path} --help"


def _system_problem(error: OSError) -> str:
    where = f" {error.filename!r}" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"the disk is full{where}: free some space and give the same command again; finished work is kept"
    return f"{error.strerror or error}{where}: choose another place or unlock this one, then give the command again"


def _log_of(error: Exception) -> str:
    with tempfile.NamedTemporaryFile("w", prefix="fewbits-", suffix=".log", delete=False) as log:
        log.writelines(traceback.format_exception(error))
    return log.name
