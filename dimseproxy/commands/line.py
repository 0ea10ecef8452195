"""The command line of `dimseproxy`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from dimseproxy import __version__
from dimseproxy.archives import database_of, folder_of, holdings_of, sqlite_file
from dimseproxy.commands.checking import NoFolder, look_for_folder, rebuild, verify
from dimseproxy.commands.importing import import_folder
from dimseproxy.commands.letters import list_dead_letters, send_again
from dimseproxy.commands.listing import list_studies
from dimseproxy.commands.task import ExitStatus, Task, reason_of
from dimseproxy.config import SQLITE, ConfigurationError, Settings, load
from dimseproxy.errors import DimseProxyError

#: What a command does with the holdings of the archive; its result is the exit status.
Work = Callable[[Task, Namespace], Awaitable[ExitStatus]]

_COMMANDS: Final[tuple[tuple[str, str, Work], ...]] = (
    ("list", "list the studies", list_studies),
    ("import", "put every DICOM file of a folder into the archive", import_folder),
    ("verify", "read every file, and compare it with its name and with the index", verify),
    ("rebuild", "put every file into the index that is not there", rebuild),
    ("dead-letters", "list what was given up sending", list_dead_letters),
    ("requeue", "send again what was given up", send_again),
)


def parser() -> ArgumentParser:
    """The commands and their options."""
    common = ArgumentParser(add_help=False)
    common.add_argument("-c", "--config", metavar="FILE", type=Path, help="the configuration file of the proxy")
    whole = ArgumentParser(
        prog="dimseproxy",
        description="Looks after the archive of a configuration, also while the proxy runs. Run it as its user.",
        epilog="The exit status is 0 where everything is well, 1 where something is not, 2 where it could not be done.",
    )
    whole.add_argument("--version", action="version", version=f"dimseproxy {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for name, what, work in _COMMANDS:
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", parents=[common])
        command.set_defaults(work=work, anew=False)
        if name == "import":
            command.add_argument("folder", metavar="FOLDER", type=Path, help="where the files are")
            command.add_argument("--quiet", action="store_true", help="do not name the files that were not taken")
        elif name == "rebuild":
            command.add_argument("--anew", action="store_true", help="take everything out of the index before")
        elif name == "requeue":
            which = command.add_mutually_exclusive_group(required=True)
            which.add_argument("ids", metavar="ID", type=int, nargs="*", default=[], help="as `dead-letters` shows it")
            which.add_argument("--all", action="store_true", help="all of them")
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry out a command, and exit."""
    options = parser().parse_args(arguments)
    try:
        settings = load(options.config)
        archive = next(iter(settings.archives.values()), None)
        if archive is None:
            raise NoArchive("the configuration has no archive")
    except (ConfigurationError, NoArchive) as error:
        sys.exit(_failed(str(error)))

    react(lambda reactor: interruptible(reactor, carried_out(reactor, settings, options)))


def interruptible(reactor: Any, work: Coroutine[Any, Any, ExitStatus]) -> Deferred[None]:
    """Carry out work, which a signal ends in good order: what was opened is closed, or its threads would stay."""
    finished: Deferred[ExitStatus] = Deferred.fromCoroutine(work)
    closed: Deferred[None] = Deferred()

    def stop() -> Deferred[None]:
        finished.cancel()
        return closed

    reactor.addSystemEventTrigger("before", "shutdown", stop)

    def ended(result: ExitStatus | Failure) -> None:
        if isinstance(result, Failure) and result.check(CancelledError):
            result = _failed("interrupted")
        closed.callback(None)
        if isinstance(result, Failure):
            result.raiseException()
        else:
            sys.exit(result)

    return finished.addBoth(ended)


class NoArchive(DimseProxyError):
    """There is nothing to look after."""


async def carried_out(reactor: Any, settings: Settings, options: Namespace) -> ExitStatus:
    """Open the archive, do what was asked for, and close it; the exit status."""
    (archive,) = settings.archives.values()
    if options.work is rebuild:
        # Nobody knows which of two files is the newer one: what is in the index already stays.
        archive = evolve(archive, duplicates="refuse")
    try:
        if options.work is import_folder and not options.folder.is_dir():
            raise NoFolder(f"FOLDER: there is no folder {options.folder}")
        if options.work not in (import_folder, rebuild):
            _look_for_index(settings)
        if options.work in (verify, rebuild):
            look_for_folder(folder_of(settings, archive))
        database = database_of(settings, reactor)
        holdings = holdings_of(settings, archive, database, reactor)
        try:
            # Within: a database that cannot be opened has threads already, and they would keep the process.
            await database.start()
            if not options.anew:
                await holdings.index.start()
            task = Task(reactor, settings, holdings, sys.stdout, sys.stderr)
            return await options.work(task, options)  # type: ignore[no-any-return]
        finally:
            await database.stop()
    except (DimseProxyError, OSError) as error:
        return _failed(reason_of(error))


def _look_for_index(settings: Settings) -> None:
    """
    @raise NoArchive: there is no index, and an empty one would only hide that.
    """
    file = sqlite_file(settings)
    if settings.database == SQLITE and not file.exists():
        raise NoArchive(f"there is no {file}: nothing was stored yet, or `rebuild` has to make it from the files")


def _failed(why: str) -> ExitStatus:
    print(f"dimseproxy: {why}", file=sys.stderr)
    return ExitStatus.NOT_DONE
