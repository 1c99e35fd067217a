"""Serve one model file on the loopback interface until standard input closes: load -> print the address -> wait.

A process of its own, run as a script. Inside the caller's process the runtime would hold the interpreter lock for as
long as it loads (4 to 7 seconds) and crash at exit while a request is still being answered.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main(path: str, name: str, slots: int, context: int, threads: int) -> None:
    """Print one line of JSON, `{"address": …}` or `{"error": …}`, and serve until the caller is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who may go on using the model.
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = path
    params.model_alias = {name}
    params.n_ctx = context * slots  # The runtime divides it among the slots.
    params.n_parallel = slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.use_jinja = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.verbosity = -1  # Nothing at all on standard error.
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201
        return
    print(json.dumps({"address": server.listening_address}), flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)  # Tearing the server down would wait for the answer it is writing.


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6]))
