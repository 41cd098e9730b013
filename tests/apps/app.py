"""The application behind the load balancer: says who it is, and misbehaves on request.

    python app.py --name api1 --bind 10.0.0.1:8001 --bind '[fd00::1]:8001'
"""

import argparse
import asyncio
import hashlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

BLOCK = 1 << 16
# Each block begins with its number, so that none can be lost, doubled or moved unnoticed.
PATTERN = bytes((i * 167 + 13) & 0xFF for i in range(BLOCK - 8))


def blocks(n: int) -> Iterator[bytes]:
    """The first n bytes of the stream: 64 KiB blocks of a number (8 bytes, big-endian) and the pattern."""
    for number in range((n + BLOCK - 1) // BLOCK):
        block = number.to_bytes(8, "big") + PATTERN
        yield block[: n - number * BLOCK]


def make_app(name: str) -> FastAPI:
    app = FastAPI(title=name)
    healthy = True

    @app.get("/")
    async def who(request: Request) -> dict:
        client = request.client
        return {"name": name, "client": client and client.host, "client_port": client and client.port}

    @app.get("/health")
    async def health() -> Response:
        return Response(status_code=200 if healthy else 503)

    @app.post("/health/fail")
    async def fail() -> None:
        nonlocal healthy
        healthy = False

    @app.post("/health/pass")
    async def recover() -> None:
        nonlocal healthy
        healthy = True

    @app.get("/bytes")
    def stream(n: int) -> StreamingResponse:
        return StreamingResponse(
            blocks(n), media_type="application/octet-stream", headers={"content-length": str(n)}
        )

    @app.get("/sha256")
    def digest(n: int) -> dict:
        """What /bytes must arrive as."""
        digest = hashlib.sha256()
        for block in blocks(n):
            digest.update(block)
        return {"sha256": digest.hexdigest()}

    @app.get("/sleep")
    async def sleep(s: float) -> dict:
        await asyncio.sleep(s)
        return {"name": name, "slept": s}

    return app


def listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, int(port)))
    return sock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--bind", required=True, action="append", metavar="HOST:PORT")
    arguments = parser.parse_args()
    config = uvicorn.Config(
        make_app(arguments.name), access_log=False, log_level="warning", proxy_headers=False
    )
    uvicorn.Server(config).run(sockets=[listen(address) for address in arguments.bind])


if __name__ == "__main__":
    main()
