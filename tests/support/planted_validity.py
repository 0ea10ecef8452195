"""dciodvfy of dicom3tools: what an object has wrong with it, as an independent reader sees it."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.support.process import executable, run

#: What was found, and the number of an item or a value: they differ where the error is the same.
_PARTICULARS = re.compile(r"= <[^>]*>|\[[0-9]+\]")


async def errors_in(case: TestCase, path: Path) -> set[str]:
    """The errors that dciodvfy reports of a file, each with the path of its attribute, without the values."""
    result = await run(case, [executable("dciodvfy"), "-new", str(path)])
    lines = result.output.splitlines()
    return {_PARTICULARS.sub("", line).strip() for line in lines if line.startswith("Error")}
