"""Where the program ``cdb`` begins and ends: before anything is loaded, and without waiting."""

import contextlib
import os
import signal
import sys
from typing import NoReturn


def run() -> NoReturn:
    """Run the command line in a process of its own.

    While it loads, Ctrl-C just ends the process: nothing has been done. At its end nothing is
    left to wait for: the store is closed, and only pymongo's threads would sleep out their half
    second.
    """
    heeds = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # `nohup` does not
    if heeds:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cdb.cli.main import main

    code: object = 130
    try:
        if heeds:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        pass  # once more, while the first was told
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or full: told
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
