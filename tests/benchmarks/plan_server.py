"""Two listings of very many objects, made while they are asked for, in a process of its own.

As Cloud Storage's JSON API answers ``objects.list`` with the fields that are asked for. Every tenth name from the first
to the seventh is done at the destination. Uploads are taken and dropped. One line of JSON says where it listens.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
FOLDER = "archive/"
HOST = "api.runware.ai"
PARAMETERS = '{"model":"runware:500@1","outputFormat":"JPG","upscaleFactor":2}'


def name_of(number: int) -> str:
    return f"{FOLDER}{number // 1000:04}/product-{number:08}"


def done(number: int, layout: str, total: int) -> bool:
    return number % 10 < 7 if layout == "scattered" else number < total * 7 // 10


def source_row(number: int) -> str:
    return f'{{"name":"{name_of(number)}.png","generation":"17{number:014}","size":"48213","contentType":"image/png"}}'


def picture_row(number: int) -> str:
    """What this package writes; the content key is computed here by a second reading of the design."""
    source, final = f"gs://raw/{name_of(number)}.png", f"gs://print/{name_of(number)}.jpg"
    text = (
        f'{{"api":"{HOST}","destination":"{final}","generation":17{number:014},"parameters":{PARAMETERS},'
        f'"purpose":"clarity-content","source":"{source}","v":1}}'
    )
    key = hashlib.sha256(text.encode()).hexdigest()
    return (
        f'{{"name":"{name_of(number)}.jpg","generation":"18{number:014}","size":"182211","contentType":"image/jpeg",'
        f'"metadata":{{"clarity-v":"1","clarity-content-key":"{key}","clarity-identity":"{key}",'
        f'"clarity-task-uuid":"52f41967-7b2e-4c2c-9f0c-{number:012}","clarity-source":"{source}",'
        f'"clarity-source-generation":"17{number:014}","clarity-run-key":"archive/scheduled__2026-01-01/run",'
        f'"clarity-attempt":"1","clarity-cost-microusd":"{1300 + number % 7}","clarity-factor":"2",'
        f'"clarity-pixels":"2048x1536"}}}}'
    )


class Handler(BaseHTTPRequestHandler):
    """Listings and uploads."""

    protocol_version = "HTTP/1.1"
    total = 0
    latency = 0.0
    layout = "scattered"
    busy = 0.0
    pages = 0

    def do_GET(self) -> None:
        began = time.perf_counter()
        parts = urlsplit(self.path)
        if parts.path == "/_bench":
            self.reply({"busy": Handler.busy, "pages": Handler.pages})
            return
        if not parts.path.endswith("/o"):
            self.reply({"error": {"code": 404, "message": "No such object"}}, 404)
            return
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        bucket = parts.path.split("/")[-2]
        number = int(query.get("pageToken") or self.first(query.get("startOffset", ""), bucket))
        rows: list[str] = []
        while number < self.total and len(rows) < PAGE:
            if bucket == "raw":
                rows.append(source_row(number))
            elif done(number, self.layout, self.total):
                rows.append(picture_row(number))
            number += 1
        more = f',"nextPageToken":"{number}"' if number < self.total else ""
        body = f'{{"items":[{",".join(rows)}]{more}}}'.encode()
        Handler.busy += time.perf_counter() - began
        Handler.pages += 1
        time.sleep(self.latency)
        self.answer(body, 200)

    def first(self, start: str, bucket: str) -> int:
        """The number of the first name that is not before this one."""
        low, high = 0, self.total
        ending = ".png" if bucket == "raw" else ".jpg"
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if name_of(middle) + ending < start else (low, middle)
        return low

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        head = self.rfile.read(length).split(b"\r\n\r\n", 2)[1].partition(b"\r\n")[0]
        name = json.loads(head)["name"]
        self.reply({"name": name, "bucket": "print", "generation": "1", "size": str(length)})

    def reply(self, value: Any, status: int = 200) -> None:
        self.answer(json.dumps(value).encode(), status)

    def answer(self, body: bytes, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def main() -> None:
    """Serve until stdin closes."""
    Handler.total, Handler.latency, Handler.layout = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}), flush=True)  # noqa: T201
    import threading  # noqa: PLC0415

    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
