"""dcmjs-dimse, a JavaScript implementation, as a peer: `dcmjs.js` beside this file does the talking."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import TestCase

from tests.support.process import Process, executable, free_port, needed, run, until

_SCRIPT = Path(__file__).with_name("dcmjs.js")
_MODULES = Path(__file__).parents[2] / ".peers" / "node_modules"


def _argv(*words: str) -> list[str]:
    modules = Path(os.environ.get("DIMSEPROXY_NODE_MODULES", _MODULES))
    if not (modules / "dcmjs-dimse").is_dir():
        raise needed("the node module dcmjs-dimse")
    return [executable("node"), str(_SCRIPT), *words]


def _objects(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


async def dcmjs_scu(
    case: TestCase, operation: str, port: int, called: str, calling: str, *words: str
) -> list[dict[str, Any]]:
    """Run one operation; what was answered, in order: statuses, rejections, objects received."""
    result = await run(case, _argv(operation, str(port), called, calling, *words))
    if result.code != 0:
        raise AssertionError(f"dcmjs-dimse ended with {result.code}:\n{result.output}")
    return _objects(result.output)


@attrs.define
class DcmjsScp:
    """A running SCP that accepts everything; an echo, store and find SCP."""

    port: int
    process: Process
    title: str = "DCMJS"

    @property
    def received(self) -> list[str]:
        """The SOP Instance UIDs it received."""
        # A line may have come in part.
        whole, _, _ = self.process.output.rpartition("\n")
        return [line["received"] for line in _objects(whole) if "received" in line]

    async def has_received(self, count: int) -> None:
        """Wait until it has said so: its response to the last one may overtake what it prints."""
        await until(lambda: len(self.received) >= count, f"{count} objects in dcmjs-dimse")


async def dcmjs_scp(case: TestCase) -> DcmjsScp:
    """Start the SCP."""
    port = free_port()
    process = Process.spawn(case, _argv("scp", str(port)))
    await process.listens(port)
    return DcmjsScp(port, process)
