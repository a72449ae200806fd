"""A server whose connections break off before it has answered, so many times: for tests of who asks again."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class BreaksOff:
    """Where it listens, and what it was asked: the first line of each request."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextmanager
def breaks_off(times: int, status: str = "200 OK", half: bool = False) -> Iterator[BreaksOff]:
    """It listens meanwhile. half: it breaks off in the middle of the answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        known = BreaksOff(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def serve() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                with line:
                    sent = b""
                    while b"\r\n\r\n" not in sent:
                        sent += line.recv(65536)
                    head, _, body = sent.partition(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                    while len(body) < int(length or 0):
                        body += line.recv(65536)
                    known.asked.append(head.decode().split("\r\n")[0])
                    if len(known.asked) > times:
                        line.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
                    elif half:
                        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield known
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(5)
