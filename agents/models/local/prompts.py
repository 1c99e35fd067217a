"""Prompts that are read in advance: instructions and examples, with which most requests begin.

    prepare: a server of its own reads each prompt -> a file with what the runtime keeps of it
    server_process: loads these files whenever a server starts

Reading a prompt takes a small machine 20 seconds, loading its file some milliseconds. The files (28 KB a token) lie in
a private folder beside the weights, and hold no user's request.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

import httpx2
from filelock import FileLock
from langchain_core.messages import BaseMessage, convert_to_openai_messages

from agents.models.local.server import TIMEOUT_SECONDS, LocalModelError, Server, chat, server_of

SLOT = {"id_slot": 0}


def prepare(
    prompts: Sequence[Sequence[BaseMessage]],
    name: str | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Have a local model read the beginnings of prompts, unless it has; others, read before, are forgotten.

    Args:
        prompts: The messages before the request, for each kind of prompt.
        name: The model, as `podium model list` shows it.
        progress: Called with the number of prompts that are there, and of all.

    Raises:
        NoModelError: The runtime or the weights are missing.
        LocalModelError: The model cannot be loaded, or what it has read not be written.
    """
    server = server_of(name)
    folder = server.prompts
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = {json.dumps(convert_to_openai_messages(messages)): messages for messages in prompts}
    files = {folder / f"{sha256(text.encode()).hexdigest()[:16]}.bin": messages for text, messages in written.items()}
    with FileLock(folder.with_name(f"{folder.name}.lock"), mode=0o600), _unshared(server) as reader:
        for number, (file, messages) in enumerate(files.items()):
            progress(number, len(files))
            if not file.exists():
                chat(reader, {"max_tokens": 1, "extra_body": SLOT}).invoke(list(messages))
                _save(reader, "new")
                (folder / "new").replace(file)
        progress(len(files), len(files))
        for old in (*folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*/"), *folder.iterdir()):
            if old not in (folder, *files):
                shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)


@contextmanager
def _unshared(server: Server) -> Iterator[Server]:
    """Yield a server that no other program uses, so that nobody's request gets into a file; starts when it is used."""
    reader = Server(server.path, server.label, purpose="reader")
    try:
        yield reader
    finally:
        if running := reader.look_up():
            os.kill(running.process, signal.SIGTERM)
            reader.file.unlink(missing_ok=True)


def _save(server: Server, name: str) -> None:
    """Have the server write what it keeps of the prompt in its slot."""
    address = f"http://127.0.0.1/slots/{SLOT['id_slot']}"  # The server says which port.
    with httpx2.Client(auth=server, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        reply = client.post(address, params={"action": "save"}, json={"filename": name})
    if reply.is_error:
        raise LocalModelError(f"The runtime cannot store what it has read ({reply.text:.200}); is the disk full?")
