"""DCMTK as peers: ``storescp`` as the sink that keeps nothing, ``storescu`` as the source."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.processes import BenchError, Run, Server, free_port, run

NO_NAGLE = {"TCP_NODELAY": "1"}
"""Makes DCMTK turn Nagle's algorithm off. Any value would; without the variable it leaves it on."""
STOCK: dict[str, str] = {}


def program(name: str) -> str:
    """The path of one of DCMTK's programs.

    pynetdicom's of the same names shadow them in a virtual environment: the system's are looked for first.

    :raises BenchError: when it is not installed
    """
    for path in ("/usr/bin:/usr/local/bin", None):
        found = shutil.which(name, path=path)
        if found:
            return found
    raise BenchError(f"{name} is not installed: DCMTK is needed")


def start_sink(directory: Path, environment: dict[str, str], keep: Path | None = None, port: int = 0) -> Server:
    """A ``storescp`` that answers each object with success, and throws it away unless it is to ``keep`` it in a folder.

    DCMTK knows no option to bind to one address: it listens on all of them while the benchmark runs.
    """
    port = port or free_port()
    what = ["--output-directory", str(keep)] if keep else ["--ignore"]
    command = [program("storescp"), *what, "--aetitle", "SINK", str(port)]
    return Server.start("storescp", command, port, directory, environment)


def send(port: int, objects: Path, environment: dict[str, str], *options: str) -> Run:
    """Send an object, or all objects of a directory, over one association with ``storescu``.

    :raises BenchError: when one of them was not taken
    """
    usual = ("--call", "SINK", *(("--scan-directories",) if objects.is_dir() else ()))
    return run([program("storescu"), *usual, *options, "127.0.0.1", str(port), str(objects)], environment)


def tls(ca: Path | None) -> tuple[str, ...]:
    """The options that make ``storescu`` speak TLS with whom an authority has certified; none without one."""
    return ("--anonymous-tls", "--add-cert-file", str(ca)) if ca else ()
