"""A Postgres server of the system's own binaries, for as long as needed: a temporary folder, a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USER = "podium"
FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
UNPRIVILEGED = ("postgres", "nobody")
"""Users to run the server as when we are root, which it refuses to be."""


def binaries() -> Path | None:
    """Return the folder with `initdb` and `pg_ctl`; None if there is none."""
    found = shutil.which("initdb")
    patterns = [file for pattern in FOLDERS for file in sorted(Path("/").glob(pattern), reverse=True)]
    folders = [*([Path(found).resolve().parent] if found else []), *patterns]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """Start a server and yield the address of an empty database; stop it and remove everything at the end."""
    if (programs := binaries()) is None:
        raise FileNotFoundError("initdb and pg_ctl are not installed on this system")
    folder = Path(tempfile.mkdtemp(prefix="podium-", dir="/tmp"))  # a socket's path must be short
    data = folder / "data"
    options: dict[str, Any] = {"check": True, "capture_output": True, "text": True, "cwd": folder}
    if os.geteuid() == 0:
        account = _unprivileged()
        os.chown(folder, account.pw_uid, account.pw_gid)
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    try:
        text = ["--no-locale", "--encoding", "UTF8"]
        initdb: list[Any] = [programs / "initdb", "-D", data, "-U", USER, "-A", "trust", "--no-sync", *text]
        subprocess.run(initdb, **options)
        settings = f"-k {folder} -c listen_addresses='' -c max_connections=100"
        control: list[Any] = [programs / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-l", folder / "log", "-o", settings, "start"], **options)
        try:
            yield f"postgresql://{USER}@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def pooler(uri: str, size: int) -> Iterator[str]:
    """Start PgBouncer in transaction mode before a server of `server`, and yield its address.

    Raises:
        FileNotFoundError: It is not installed.
    """
    folder = Path(uri.rpartition("host=")[2])
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={folder} user={USER}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\n"
        f"auth_type = any\npool_mode = transaction\ndefault_pool_size = {size}\n"
    )
    options = ["-u", _unprivileged().pw_name] if os.geteuid() == 0 else []
    command = ["pgbouncer", "-q", *options, str(folder / "pgbouncer.ini")]
    bouncer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not (folder / ".s.PGSQL.6432").exists() and bouncer.poll() is None:
            time.sleep(0.02)
        yield f"{uri}&port=6432"
    finally:
        bouncer.terminate()
        bouncer.wait()


def _unprivileged() -> pwd.struct_passwd:
    known = {item.pw_name: item for item in pwd.getpwall()}
    return next(known[name] for name in UNPRIVILEGED if name in known)
