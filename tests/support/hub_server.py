"""A Hugging Face Hub of one process: what `hf upload` asks of it, over HTTP on the loopback interface."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_loopback"


class Hub:
    """repositories[name][path] -> bytes, as committed."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.large_files: dict[str, bytes] = {}  # by SHA-256
        self.asked: list[str] = []
        self.endpoint = ""

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if method == "PUT":
            oid = path.rsplit("/", 1)[1]
            if hashlib.sha256(body).hexdigest() != oid:
                return 400, {"error": "another SHA-256 than was announced"}
            self.large_files[oid] = body
            return 200, {}
        if token != f"Bearer {TOKEN}":
            return 401, {"error": "no valid token"}
        words = path.removeprefix("/api/").split("/")
        if path == "/api/whoami-v2":
            return 200, {"type": "user", "name": "tester", "auth": {"accessToken": {"role": "write"}}}
        if path == "/api/repos/create":
            request = json.loads(body)
            name = f"{request.get('organization') or 'tester'}/{request['name']}"
            if name in self.repositories:
                return 409, {"error": "exists", "url": f"{self.endpoint}/{name}"}
            self.repositories[name] = {}
            return 200, {"url": f"{self.endpoint}/{name}", "id": name}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.endswith(".git/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": [self._object(one) for one in json.loads(body)["objects"]]}
        if words[0] != "models" or "/".join(words[1:3]) not in self.repositories:
            return 404, {"error": "Repository not found"}
        repository = "/".join(words[1:3])
        if "preupload" in words:
            modes = [
                {"path": file["path"], "shouldIgnore": False, "uploadMode": "lfs" if _is_large(file["path"]) else "regular"}
                for file in json.loads(body)["files"]
            ]
            return 200, {"files": modes}
        if "commit" in words:
            for line in map(json.loads, body.splitlines()):
                self._commit(repository, line["key"], line["value"])
            return 200, {"commitUrl": f"{self.endpoint}/{repository}/commit/1", "commitOid": "1" * 40, "success": True}
        siblings = [{"rfilename": name} for name in self.repositories[repository]]
        return 200, {"id": repository, "sha": "1" * 40, "siblings": siblings, "private": False, "tags": []}

    def _object(self, one: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.endpoint}/large/{one['oid']}"
        return one | {"authenticated": True, "actions": {"upload": {"href": href, "header": {}}}}

    def _commit(self, repository: str, key: str, value: dict[str, Any]) -> None:
        files = self.repositories[repository]
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            files[value["path"]] = self.large_files[value["oid"]]


def _is_large(path: str) -> bool:
    return path.endswith(".safetensors")


@contextmanager
def running_hub():
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token = self.headers.get("Authorization") or ""
            status, answer = hub.answer(self.command, self.path.split("?")[0], body, token)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_HEAD = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
