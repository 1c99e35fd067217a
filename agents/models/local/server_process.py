"""Serve one model file on the loopback interface until nobody has used it for some minutes.

    settings (JSON, one line of standard input) -> load, restore prompts -> address (JSON, one line of standard output)
    -> idle -> end

A process of its own, run as a script: it is shared by all programs of its user, and outlives the one that started it.
Inside a caller's process the runtime would hold the interpreter lock for as long as it loads (4 to 7 seconds).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses without a proxy, which cannot reach the loopback interface and must not see the key."""
LOOK_SECONDS = 2.0
"""Interval of looking whether the server is in use."""


def serve(settings: dict[str, Any]) -> None:
    """Print `{"address": …}` or `{"error": …}` and serve; only requests with the key are answered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, and others may use the model
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["name"]}
    params.n_ctx = settings["context"] * settings["slots"]  # The runtime divides it among the slots.
    params.n_parallel = settings["slots"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["threads"]
    params.cache_ram_mib = settings["prompt_cache"]
    params.use_jinja = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["key"]]
    params.cors_origins = ""  # no page of a browser may read a reply
    params.cors_credentials = params.ui = False
    params.endpoint_metrics = True
    params.slot_save_path = f"{settings['prompts']}/"
    params.verbosity = -1  # Nothing at all on standard error.
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201
        return
    restore(server.listening_address, settings["key"], Path(settings["prompts"]), settings["slots"])
    print(json.dumps({"address": server.listening_address}), flush=True)  # noqa: T201
    wait_until_idle(f"{server.listening_address}/metrics", settings["key"], settings["idle_seconds"])
    with suppress(OSError):
        os.unlink(settings["file"])
    os._exit(0)  # Tearing the server down would wait for the answer it is writing.


def restore(address: str, key: str, folder: Path, slots: int) -> None:
    """Load the prompts that were read in advance; a file that cannot be loaded is removed."""
    for number, file in enumerate(sorted(folder.glob("*.bin"))):
        try:
            if number >= slots:  # A short prompt makes the runtime move what the slot holds into its memory of prompts.
                _post(address, key, "/completion", {"prompt": chr(ord("a") + number), "n_predict": 0})
            _post(address, key, f"/slots/{number % slots}?action=restore", {"filename": file.name})
        except urllib.error.HTTPError:
            file.unlink(missing_ok=True)


def _post(address: str, key: str, path: str, body: dict[str, object]) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    _OPENER.open(urllib.request.Request(address + path, json.dumps(body).encode(), headers)).close()  # noqa: S310


def wait_until_idle(url: str, key: str, idle_seconds: float) -> None:
    """Return when the server's counters have not changed for some time, and no request is at work."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    counters, since = "", time.monotonic()
    while time.monotonic() - since < idle_seconds:
        time.sleep(min(LOOK_SECONDS, idle_seconds / 4))
        with _OPENER.open(request) as reply:
            lines = [line for line in reply.read().decode().splitlines() if not line.startswith("#")]
        is_busy = any(line.startswith("llamacpp:requests_") and not line.endswith(" 0") for line in lines)
        seen = "\n".join(line for line in lines if "_total" in line)
        if is_busy or seen != counters:
            counters, since = seen, time.monotonic()


if __name__ == "__main__":
    serve(json.loads(sys.stdin.readline()))
