"""Stands in for `vllm serve`: answers /health, /v1/models and /v1/completions, and misbehaves as it is told.

    fake_vllm.py serve MODEL --port N [flags of vLLM]

The JSON object in FAKE_VLLM says how: "record" names a file that takes a line for the command line and one for each
request; "errors" is a list with what to do instead of answering, used up in order: an HTTP status, "garbage" (no JSON),
"hang up" (no answer); "die_after": completions after which it ends; "refuse_to_start"; "copy_model_to": where the
folder that it serves is copied; "seconds": that a completion takes. The text of a completion tells
its prompt, so that an answer that goes to another row shows.
"""

import json
import os
import shutil
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def text_for(prompt: list[int]) -> str:
    return f"{len(prompt)} tokens, sum {sum(prompt)}"


def tokens_for(prompt: list[int], max_tokens: int) -> list[int]:
    return prompt[::-1][: min(3, max_tokens)]


class FakeVllm(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, models: list[dict], behaviour: dict):
        super().__init__(("127.0.0.1", port), _Handler)
        self.models, self.behaviour = models, behaviour
        self.errors = list(behaviour.get("errors", []))
        self.lock = threading.Lock()
        self.completions = self.at_once = self.most_at_once = 0

    def record(self, **entry) -> None:
        if "record" in self.behaviour:
            with self.lock, open(self.behaviour["record"], "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def next_error(self):
        with self.lock:
            return self.errors.pop(0) if self.errors else None

    def handle_error(self, request, client_address) -> None:
        """Clients that hang up are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: FakeVllm
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments) -> None:
        pass

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, b"")
        elif self.path == "/v1/models":
            self._answer(200, json.dumps({"object": "list", "data": self.server.models}).encode())
        else:
            self._answer(404, b"")

    def do_POST(self) -> None:
        server = self.server
        with server.lock:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.record(path=self.path, body=body, bearer=self.headers.get("Authorization"))
        time.sleep(server.behaviour.get("seconds", 0))
        with server.lock:
            server.at_once -= 1
        error = server.next_error()
        if error == "garbage":
            self._answer(200, b'{"choices": [{"te')
        elif error == "hang up":
            self.close_connection = True
            self.connection.close()
        elif error is not None:
            self._answer(error, b'{"error": {"message": "told to fail"}}')
        else:
            self._complete(body)

    def _complete(self, body: dict) -> None:
        server, prompt = self.server, body["prompt"]
        ids = tokens_for(prompt, body["max_tokens"])
        reason = "length" if len(ids) == body["max_tokens"] else "stop"
        choice = {"index": 0, "text": text_for(prompt), "finish_reason": reason, "token_ids": ids}
        with server.lock:
            server.completions += 1
            if server.completions > server.behaviour.get("die_after", 1 << 60):
                print("fake vLLM: told to die", flush=True)
                os._exit(3)
        self._answer(200, json.dumps({"choices": [choice], "usage": {"completion_tokens": len(ids)}}).encode())


def main() -> None:
    arguments = sys.argv[1:]
    behaviour = json.loads(os.environ.get("FAKE_VLLM", "{}"))
    if behaviour.get("refuse_to_start"):
        sys.exit("fake vLLM: the model does not fit")
    if "copy_model_to" in behaviour:
        shutil.copytree(arguments[1], behaviour["copy_model_to"])
    port = int(arguments[arguments.index("--port") + 1])
    server = FakeVllm(port, [{"id": "base"}], behaviour)
    server.record(command=arguments, pid=os.getpid())
    print("fake vLLM: ready", flush=True)
    server.serve_forever()


def install(folder: Path) -> Path:
    """A program `vllm` in `folder` that is this file."""
    program = folder / "vllm"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" "$@"\n')
    program.chmod(0o755)
    return program


if __name__ == "__main__":
    main()
