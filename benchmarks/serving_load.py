"""Load for an HTTP server, from a process of its own: a client of HTTP/1.1 as small as can be.

    python -m benchmarks.serving_load PLAN.json ANSWERS.json

The plan says address, bodies, and either `rate` (open loop: a request is due at its time, whatever the
others do, and what it waits for a free connection counts) or `connections` alone (closed loop: each
connection asks again as soon as it is answered). Belongs here: asking and taking the time. Keep out:
what is asked and what the numbers mean (`serving.py`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUEST_ID = 36
"""Characters of an answer's `request_id`, which differs from answer to answer."""
HEAD = b'{"request_id": "'


@dataclass
class Plan:
    """What is asked.

    Attributes:
        port: of this machine.
        path: of the route.
        bodies: JSON texts, asked one after the other, again from the first; none: a GET.
        requests: how many.
        rate: requests a second; 0: as many as the connections give.
        connections: kept open.
        key: of the server; empty: none.
        until: a file; asking goes on beyond `requests` until it is there.
    """

    port: int
    path: str
    bodies: list[str]
    requests: int
    rate: float = 0.0
    connections: int = 64
    key: str = ""
    until: str = ""


@dataclass
class Load:
    """What came back: of each request, in the order of answers."""

    due: list[float] = field(default_factory=list)
    """Seconds of the wall clock at which it was to be sent."""
    seconds: list[float] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    answer: list[int] = field(default_factory=list)
    """Place in `answers`."""
    answers: dict[str, int] = field(default_factory=dict)
    """Number of the body that was asked, a blank, and the answer without its id: its place."""


class Line(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._got = b""
        self._asked = -1
        self._due = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, number: int, due: float) -> None:
        """Sends a request."""
        assert self.transport is not None
        self._asked, self._due = number, due
        self.transport.write(self._crowd.requests[number % len(self._crowd.requests)])

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._got[:end].lower()
        place = head.find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(self._got) < end + 4 + length:
            return
        body, self._got = self._got[end + 4 :], b""
        number, self._asked = self._asked, -1
        self._crowd.answered(self, number, self._due, int(head[9:12]), body)

    def connection_lost(self, _: Exception | None) -> None:
        if self._asked >= 0:
            number, self._asked = self._asked, -1
            self._crowd.answered(None, number, self._due, 0, b"the connection was lost")
        self._crowd.lost(self)


class Crowd:
    """Connections of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.load = Load()
        key = f"Authorization: Bearer {plan.key}\r\n" if plan.key else ""
        self.requests = [
            f"POST {plan.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{key}"
            f"Content-Length: {len(body.encode())}\r\n\r\n{body}".encode()
            for body in plan.bodies
        ]
        if not plan.bodies:
            asking = f"GET {plan.path} HTTP/1.1\r\nHost: localhost\r\n{key}\r\n"
            self.requests = [asking.encode()]
        self._free: deque[Line] = deque()
        self._waiting: deque[tuple[int, float]] = deque()
        self._asked = self._answered = 0
        self._done = asyncio.Event()
        self._ended = False

    async def run(self) -> Load:
        """Asks all."""
        plan = self._plan
        for _ in range(plan.connections):
            self._free.append(await self._connected())
        if plan.rate:
            await self._open_loop()
        else:
            for line in list(self._free):
                self._again(line)
        await self._done.wait()
        return self.load

    async def _connected(self) -> Line:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(self), "127.0.0.1", self._plan.port)
        return line

    async def _open_loop(self) -> None:
        plan, start = self._plan, time.time()
        while self._more():
            due = start + self._asked / plan.rate
            ahead = due - time.time()
            if ahead > 0:
                await asyncio.sleep(ahead)
            number, self._asked = self._asked, self._asked + 1
            if self._free:
                self._free.popleft().ask(number, due)
            else:
                self._waiting.append((number, due))
        self._ended = True
        self._look()

    def _more(self) -> bool:
        until = self._plan.until
        return self._asked < self._plan.requests or bool(until and not Path(until).exists())

    def _again(self, line: Line) -> None:
        if not self._more():
            self._ended = True
            self._look()
            return
        number, self._asked = self._asked, self._asked + 1
        line.ask(number, time.time())

    def answered(
        self, line: Line | None, number: int, due: float, status: int, body: bytes
    ) -> None:
        """Notes an answer; the connection takes the next."""
        load = self.load
        load.due.append(due)
        load.seconds.append(time.time() - due)
        load.status.append(status)
        if body.startswith(HEAD):
            body = body[len(HEAD) + REQUEST_ID :]
        told = f"{number % len(self.requests)} {body.decode()}"
        load.answer.append(load.answers.setdefault(told, len(load.answers)))
        self._answered += 1
        if line is not None:
            if not self._plan.rate:
                self._again(line)
            elif self._waiting:
                line.ask(*self._waiting.popleft())
            else:
                self._free.append(line)
        self._look()

    def lost(self, line: Line) -> None:
        """The server ended a connection; another takes its place."""
        if line in self._free:
            self._free.remove(line)
        if not self._done.is_set():
            self._renewing = asyncio.ensure_future(self._renewed())

    async def _renewed(self) -> None:
        line = await self._connected()
        if not self._plan.rate:
            self._again(line)
        elif self._waiting:
            line.ask(*self._waiting.popleft())
        else:
            self._free.append(line)

    def _look(self) -> None:
        if self._ended and self._answered >= self._asked:
            self._done.set()


def main(plan: str, answers: str) -> None:
    """Asks what the plan says, and writes what came back."""
    load = asyncio.run(Crowd(Plan(**json.loads(Path(plan).read_text()))).run())
    told: dict[str, Any] = dict(vars(load))
    told["answers"] = list(load.answers)
    Path(answers).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
