"""What no key can tell alone: references, ports used twice, and what the keys left out come to.

The checks look at what is written rather than at what was read, so a mistake in one place neither hides nor
invents another elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import attrs

from dimseproxy.config.document import Node
from dimseproxy.config.endpoints import LISTEN_EXAMPLE, Address, BadEndpoint, connect_address, listen_address
from dimseproxy.config.mistakes import Mistake, did_you_mean
from dimseproxy.config.reading import Reading
from dimseproxy.config.route_check import check_routes
from dimseproxy.config.settings import DATA_DIR, DEFAULT_OUTBOUND, Route, Settings


def check(root: Node, reading: Reading) -> None:
    """Note every mistake that shows only in the file as a whole."""
    check_together(root, reading)
    _check_policies_are_used(root, reading)


def check_together(root: Node, reading: Reading) -> None:
    """Note what does not go together, whether it is of one file, or of a new one and of what runs."""
    _check_routes_are_needed(root, reading)
    _check_archives(root, reading)
    _check_routes(root, reading)
    _check_policies(root, reading)
    _check_ports(root, reading)
    _check_no_loop(root, reading)
    _check_workers(root, reading)
    _check_who_may_call(root, reading)
    _check_own_titles(root, reading)
    _check_certificates_are_asked_for(root, reading)


def resolve(settings: Settings, root: Node, folder: Path) -> Settings:
    """The settings with what was left out filled in, where that depends on other keys or on the file's folder."""
    if root.get("data_dir") is None:
        settings = attrs.evolve(settings, data_dir=folder / DATA_DIR)
    if root.get("routes") is None:
        settings = attrs.evolve(settings, routes=tuple(Route(outbound=name) for name in settings.outbound))
    if root.get("unknown_applications") is None:
        settings = attrs.evolve(settings, unknown_applications=not settings.applications)
    return settings


def _entries(root: Node, key: str) -> Iterator[tuple[Node, Node]]:
    node = root.get(key)
    if node is not None and node.is_mapping:
        yield from ((name, value) for name, value in node.entries() if name.is_scalar)


def _dimse(root: Node, side: str) -> Iterator[tuple[Node, Node]]:
    for name, value in _entries(root, side):
        dimse = value.get("dimse")
        if dimse is not None:
            yield name, dimse


def _listeners(root: Node) -> Iterator[tuple[Node, Node | None, Address]]:
    """Name, `listen` key (where written) and address of each listener whose address is right."""
    for name, dimse in _dimse(root, "inbound"):
        listen = dimse.get("listen")
        try:
            yield name, listen, listen_address(LISTEN_EXAMPLE if listen is None else listen.text)
        except BadEndpoint:
            continue


def _check_routes_are_needed(root: Node, reading: Reading) -> None:
    names = sorted(outbounds_of(root))
    if len(names) > 1 and root.get("routes") is None:
        text = (
            f"are left out, which says enough with one outbound only, and there are {', '.join(names)}: "
            f"write, for example, `routes: [{{outbound: {names[0]}}}]`"
        )
        reading.mistakes.append(Mistake("routes", text))


def outbounds_of(root: Node) -> frozenset[str]:
    """The names of the outbounds, that one included which serves where none is named."""
    outbound = root.get("outbound")
    return frozenset({DEFAULT_OUTBOUND}) if outbound is None else outbound.written_names()


def _check_archives(root: Node, reading: Reading) -> None:
    """One archive, as there is one index; and that it sends to outbounds which are there, each once."""
    outbounds = outbounds_of(root)
    first: str | None = None
    for name, value in _entries(root, "outbound"):
        archive = value.get("archive")
        if archive is None:
            continue
        if first is not None:
            reading.note(archive, f"is a second archive beside `{first}`: there is one index, so keep one of the two")
        first = first or name.text
        dispatch = archive.get("dispatch")
        seen: set[str] = set()
        for each in dispatch.items() if dispatch is not None and dispatch.is_list else ():
            to = each.get("to")
            if to is None or to.tag != "str":
                continue
            if to.text == name.text:
                reading.note(to, f"`{to.text}` is the archive itself: name another outbound")
            elif to.text not in outbounds:
                reading.note(to, f"no outbound is called `{to.text}`: {did_you_mean(to.text, outbounds - {name.text})}")
            elif to.text in seen:
                reading.note(to, f"`{to.text}` is in the list already: once is enough")
            seen.add(to.text)


def _check_routes(root: Node, reading: Reading) -> None:
    routes = root.get("routes")
    if routes is None or not routes.is_list:
        return
    outbounds = outbounds_of(root)
    inbound = root.get("inbound")
    inbounds = frozenset({"default"}) if inbound is None else inbound.written_names()
    check_routes(root, inbounds, _only_callers(root), reading)
    for route in routes.items():
        to = route.get("outbound")
        if to is not None and to.tag == "str" and to.text not in outbounds:
            reading.note(to, f"no outbound is called `{to.text}`: {did_you_mean(to.text, outbounds)}")
        by = route.get("inbound")
        if by is not None and by.tag == "str" and not any(fnmatchcase(name, by.text) for name in inbounds):
            reading.note(by, f"`{by.text}` matches no inbound: {did_you_mean(by.text, inbounds)}")


def _only_callers(root: Node) -> frozenset[str]:
    """The AE titles of the applications where others are refused, else nothing."""
    titles = frozenset(name.text.strip(" ") for name, _ in _entries(root, "applications"))
    unknown = root.get("unknown_applications")
    return titles if unknown is None or unknown.text == "refuse" else frozenset()


def _check_policies(root: Node, reading: Reading) -> None:
    policies = root.get("privacy")
    names = frozenset() if policies is None else policies.written_names()
    routes = root.get("routes")
    for route in routes.items() if routes is not None and routes.is_list else ():
        by = route.get("privacy")
        if by is not None and by.tag == "str":
            if by.text not in names:
                reading.note(by, f"no policy under `privacy` is called `{by.text}`: {did_you_mean(by.text, names)}")
            _check_delivery(route, root, reading)
    for by in _policies_of_dispatch(root):
        policy = None if policies is None else policies.get(by.text)
        originals = None if policy is None else policy.get("originals")
        if by.text not in names:
            reading.note(by, f"no policy under `privacy` is called `{by.text}`: {did_you_mean(by.text, names)}")
        elif originals is not None and originals.text == "outbound":
            reading.note(
                by, f"the archive holds the originals, and `{by.text}` has `originals: outbound`: write `inbound`"
            )


def _check_policies_are_used(root: Node, reading: Reading) -> None:
    routes = root.get("routes")
    by_route = [route.get("privacy") for route in (routes.items() if routes is not None and routes.is_list else ())]
    used = {by.text for by in (*by_route, *_policies_of_dispatch(root)) if by is not None and by.is_scalar}
    for name, _ in _entries(root, "privacy"):
        # Whoever writes a policy means identities to be protected; forgotten on the routes, they would cross.
        if name.text not in used:
            reading.note(name, f"is used by no route: write `privacy: {name.text}` in one, or take the policy out")


def _policies_of_dispatch(root: Node) -> Iterator[Node]:
    for _, value in _entries(root, "outbound"):
        archive = value.get("archive")
        dispatch = None if archive is None or not archive.is_mapping else archive.get("dispatch")
        for each in dispatch.items() if dispatch is not None and dispatch.is_list else ():
            by = each.get("privacy") if each.is_mapping else None
            if by is not None and by.tag == "str":
                yield by


def _check_delivery(route: Node, root: Node, reading: Reading) -> None:
    """What an outbound delivers directly crosses no policy."""
    to = route.get("outbound")
    for name, dimse in _dimse(root, "outbound"):
        deliver = dimse.get("deliver")
        if to is not None and name.text == to.text and deliver is not None and deliver.text == "direct":
            reading.note(
                deliver,
                f"would deliver past the privacy of the route to `{name.text}`: write `through`, or leave the key out",
            )


def _check_ports(root: Node, reading: Reading) -> None:
    taken: list[tuple[Node, Address]] = []
    for name, listen, address in _listeners(root):
        for other, used in taken:
            if address.overlaps(used):
                what = f"port {address.port}" if address.path is None else f"`{address.path}`"
                reading.note(listen or name, f"{what} is taken by the inbound `{other.text}`: give it another")
                break
        taken.append((name, address))


def _check_no_loop(root: Node, reading: Reading) -> None:
    """An outbound that is the proxy itself: one association would become as many as there may be."""
    listeners = [(name.text, address) for name, _, address in _listeners(root)]
    if root.get("inbound") is None:
        listeners.append(("default", listen_address(LISTEN_EXAMPLE)))
    for _, dimse in _dimse(root, "outbound"):
        connect = dimse.get("connect")
        try:
            address = None if connect is None else connect_address(connect.text)
        except BadEndpoint:
            continue
        for name, listener in listeners:
            if connect is not None and address is not None and address.reaches(listener):
                reading.note(connect, f"is the inbound `{name}` of this proxy: name the PACS")


def _check_workers(root: Node, reading: Reading) -> None:
    """Only the sockets of TCP listeners are made by us, for each worker one."""
    workers = root.get("workers")
    if workers is None or workers.text == "1":
        return
    for name, listen, address in _listeners(root):
        if address.port is None and listen is not None:
            reading.note(
                listen,
                f"inbound {name.text} cannot be shared by several `workers`: listen on `tcp:`, or write `workers: 1`",
            )


def _check_who_may_call(root: Node, reading: Reading) -> None:
    applications = root.get("applications")
    named = applications is not None and not (applications.is_mapping and not applications.written_names())
    if named or root.get("unknown_applications") is not None:
        return
    reachable = [name.text for name, _, address in _listeners(root) if not address.is_local]
    if reachable:
        reading.mistakes.append(
            Mistake(
                "applications",
                f"are left out, and other machines reach the inbound {' and '.join(reachable)}: name the "
                "applications that may call, or write `unknown_applications: accept` to let anybody call",
            )
        )


def _check_own_titles(root: Node, reading: Reading) -> None:
    own = root.get("ae_title")
    own_title = "DIMSEPROXY" if own is None else own.text.strip(" ")
    applications = {name.text.strip(" ") for name, _ in _entries(root, "applications")}
    for _, dimse in _dimse(root, "outbound"):
        titles = dimse.get("move_titles")
        if titles is None or not titles.is_list:
            continue
        seen: set[str] = set()
        for item in titles.items():
            title = item.text.strip(" ")
            if title == own_title:
                reading.note(item, f"`{title}` is the `ae_title` of the proxy: further titles differ from it")
            elif title in applications:
                reading.note(item, f"`{title}` is an application: give the proxy a title that is its own")
            elif title in seen:
                reading.note(item, f"`{title}` is in the list already: once is enough")
            seen.add(title)


def _check_certificates_are_asked_for(root: Node, reading: Reading) -> None:
    for _, dimse in _dimse(root, "inbound"):
        tls = dimse.get("tls")
        if tls is not None and tls.get("client_ca") is not None:
            return
    for _, application in _entries(root, "applications"):
        certificate = application.get("certificate")
        if certificate is not None and not (certificate.is_list and not list(certificate.items())):
            reading.note(certificate, "no inbound asks callers for a certificate: give one `tls` with a `client_ca`")
