"""
Random bytes against the decoders: `python -m tests.fuzz --seconds 60 [--seed N]`.

The invariant: whatever a peer sends is a value, or an error that has a defined answer, never anything else; and bytes
that come one by one mean the same as the same bytes at once.

With atheris installed (`pip install atheris`) the code's coverage guides the search; without it inputs are mutations of
the corpus.  An input that breaks the invariant is written to `tests/corpus/crashes/`, where a test plays it again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Final

from dimseproxy.dimse.command_set import CommandSet, Element, response_to
from dimseproxy.errors import RemoteProtocolError
from dimseproxy.ul.codec import decode, encode
from dimseproxy.ul.pdu import AssociateAccept, AssociateRequest, PduType
from tests.corpus.cases import ANY, Answer, Case, Stage
from tests.corpus.playing import corpus, play
from tests.dataset import fuzzing
from tests.dimse.messages import echo_rq, store_rq

CRASHES: Final = Path(__file__).parent / "corpus" / "crashes"
#: Longer inputs say nothing that shorter ones do not, and take their time.
_LONGEST: Final = 2_000
_STAGES: Final = tuple(Stage)
_ABORT_PDU: Final = re.compile(rb"\x07.\x00\x00\x00\x04", re.DOTALL)


def stream(data: bytes) -> None:
    """The upper layer and the assembler: the first byte chooses the stage."""
    if not data:
        return
    case = Case("fuzz", _STAGES[data[0] % len(_STAGES)], data[1:], ANY)
    answer = play(case)
    if answer not in Answer:
        raise AssertionError(f"no defined answer: {answer}")
    in_bytes = play(case, by_bytes=True)
    # A peer that aborts in the same breath is gone before it can be told what it did wrong.
    is_overtaken = (answer, in_bytes) == (Answer.SILENT, Answer.ABORTED) and _ABORT_PDU.search(data) is not None
    if in_bytes is not answer and not is_overtaken:
        raise AssertionError(f"{answer.name} at once, {in_bytes.name} byte by byte")


def pdu(data: bytes) -> None:
    """The codec: what can be decoded can be encoded, and means the same."""
    if not data:
        return
    try:
        value = decode(data[0] % 10, data[1:])
    except RemoteProtocolError:
        return
    if isinstance(value, (AssociateRequest, AssociateAccept)):
        ids = [context.context_id for context in value.contexts]
        if len(ids) != len(set(ids)):
            raise AssertionError("a presentation context id is there twice")
        title = value.called_ae_title.encode("latin-1") + value.calling_ae_title.encode("latin-1")
        if len(title) > 32:
            raise AssertionError("an AE title is longer than its field")
    encoded = encode(value)
    if encoded[0] not in set(PduType) or decode(encoded[0], encoded[6:]) != value:
        raise AssertionError("a PDU does not survive")


def command_set(data: bytes) -> None:
    """The command set: everything that a relay asks of it has an answer."""
    try:
        command = CommandSet.decode(data)
    except RemoteProtocolError:
        return
    if command.encode() != data:
        raise AssertionError("a command set that nobody changed has changed")
    _ = (command.message_id, command.responds_to, command.status, command.sop_class, command.name, repr(command))
    for element in Element:
        command.text(element)
    changed = command.replace({Element.MESSAGE_ID: 1})
    if CommandSet.decode(changed.encode()) != changed:
        raise AssertionError("a changed command set does not survive")
    response = response_to(command, 0x0110, "refused")
    if CommandSet.decode(response.encode()).status != 0x0110:
        raise AssertionError("a response does not survive")


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "stream": stream,
    "pdu": pdu,
    "command_set": command_set,
    "data_set": fuzzing.data_set,
}


def check(target: str, data: bytes) -> None:
    """Run one input; whatever it raises is a crash."""
    TARGETS[target](data)


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with."""
    if target == "command_set":
        return [echo_rq(), store_rq()]
    if target == "data_set":
        return fuzzing.seeds()
    out = []
    for case in corpus():
        if len(case.data) <= _LONGEST:
            if target == "stream":
                out.append(bytes((_STAGES.index(case.stage),)) + case.data)
            elif case.data and case.data[0] in (1, 2):
                out.append(case.data[:1] + case.data[6:])
    return sorted(set(out))


def mutations(found: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Without end: inputs made from others by a few small changes each."""
    numbers = (b"\0", b"\1", b"\xff", b"\x7f", b"\0\0", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xfe", b"\0\0\x40\0")
    while True:
        data = bytearray(chance.choice(found))
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(data) + 1)
            size = chance.randint(1, 16)
            match chance.randrange(6):
                case 0:
                    data[at : at + 1] = bytes((chance.randrange(256),))
                case 1:
                    del data[at : at + size]
                case 2:
                    data[at:at] = data[at : at + size]
                case 3:
                    number = chance.choice(numbers)
                    data[at : at + len(number)] = number
                case 4:
                    data[at:at] = chance.randbytes(size)
                case _:
                    other = chance.choice(found)
                    start = chance.randrange(len(other) + 1)
                    data[at:] = other[start : start + 500]
        yield bytes(data[:_LONGEST])


def keep(target: str, data: bytes) -> Path:
    """Write a crash down."""
    CRASHES.mkdir(exist_ok=True)
    path = CRASHES / f"{target}-{hashlib.sha256(data).hexdigest()[:16]}.bin"
    path.write_bytes(data)
    return path


def mutate(seconds: float, seed: int) -> tuple[int, int]:
    """All targets in turn, for so long: how many executions, how many crashes."""
    executions = 0
    crashes: set[str] = set()
    chance = random.Random(seed)
    sources = {target: mutations(seeds(target), chance) for target in TARGETS}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for target, source in sources.items():
            for _ in range(50):
                data = next(source)
                executions += 1
                try:
                    check(target, data)
                except Exception:
                    where = traceback.format_exc().splitlines()[-4:]
                    if "\n".join(where) not in crashes:
                        # One of a kind is enough.
                        crashes.add("\n".join(where))
                        print(traceback.format_exc(), keep(target, data), sep="\n", flush=True)
    return executions, len(crashes)


def guided(seconds: float, seed: int) -> tuple[int, int]:
    """The same with atheris, one child process a target, because libFuzzer ends the process that it runs in."""
    executions = crashes = 0
    for target in TARGETS:
        with tempfile.TemporaryDirectory(prefix="dimseproxy-fuzz-") as folder:
            for index, data in enumerate(seeds(target)):
                Path(folder, f"{index}.bin").write_bytes(data)
            arguments = [f"-max_total_time={max(1, int(seconds / len(TARGETS)))}", f"-seed={seed or 1}"]
            arguments += [f"-max_len={_LONGEST}", f"-artifact_prefix={folder}/crash-", "-print_final_stats=1", folder]
            child = subprocess.run(
                [sys.executable, "-m", "tests.fuzz", "--guided", target, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )
            for line in child.stdout.splitlines():
                if line.startswith("stat::number_of_executed_units:"):
                    executions += int(line.rpartition(":")[2])
            found = list(Path(folder).glob("crash-*"))
            crashes += len(found) or (child.returncode != 0)
            for path in found:
                print(keep(target, path.read_bytes()), flush=True)
            if child.returncode:
                print(child.stdout[-4_000:], flush=True)
    return executions, crashes


def _run_atheris(target: str, arguments: list[str]) -> None:
    import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]  # optional

    for name, module in tuple(sys.modules.items()):
        if name.startswith(("dimseproxy.ul", "dimseproxy.dimse", "dimseproxy.dataset")):
            for function in _functions(module, name):
                atheris.instrument_func(function)
    atheris.Setup(["fuzz", *arguments], TARGETS[target])
    atheris.Fuzz()


def _functions(owner: object, module: str) -> Iterator[FunctionType]:
    """The functions of a module and of its classes."""
    for value in tuple(vars(owner).values()):
        function = getattr(value, "__func__", value)
        if isinstance(function, FunctionType) and function.__module__ == module:
            yield function
        elif isinstance(value, type) and value.__module__ == module and value is not owner:
            yield from _functions(value, module)


def main() -> int:
    """The last line is `fuzz: N executions, N crashes`."""
    if sys.argv[1:2] == ["--guided"]:
        _run_atheris(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Random bytes against the decoders.")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--seed", type=int, default=None, help="for the same inputs again")
    options = parser.parse_args()
    seed = random.randrange(1 << 31) if options.seed is None else options.seed
    run = guided if importlib.util.find_spec("atheris") else mutate
    print(f"fuzz: {run.__name__}, seed {seed}", flush=True)
    executions, crashes = run(options.seconds, seed)
    print(f"fuzz: {executions} executions, {crashes} crashes", flush=True)
    return 1 if crashes else 0


if __name__ == "__main__":
    sys.exit(main())
