"""A Hugging Face Hub of one process: what `hf upload` and `hf download` ask of it, over HTTP on the loopback interface."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "hf_loopback"


class Hub:
    """repositories[name][path] -> bytes, as committed; a dataset's name begins with "datasets/"."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.branches: dict[tuple[str, str], dict[str, bytes]] = {}  # (name, revision) -> files, beside the branch main
        self.gated: set[str] = set()
        self.may_answer = threading.Event()  # a test may hold the answers back
        self.may_answer.set()
        self.large_files: dict[str, bytes] = {}  # by SHA-256
        self.asked: list[str] = []
        self.endpoint = ""

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if method in ("GET", "HEAD") and (path.startswith(("/api/models/", "/api/datasets/")) or "/resolve/" in path):
            return self._read(path, token)
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

    def _read(self, path: str, token: str) -> tuple[int, Any]:
        """The list of a repository's files, or one of them with the headers that the client's cache goes by."""
        kind = "datasets/" if path.startswith(("/api/datasets/", "/datasets/")) else ""
        words = path.removeprefix("/api/").removeprefix("/").removeprefix("models/").removeprefix("datasets/").split("/")
        name = kind + "/".join(words[:2])
        if name in self.gated and token != f"Bearer {TOKEN}":
            return (403 if token else 401), Refusal("GatedRepo")
        if name not in self.repositories:
            return 404, Refusal("RepoNotFound")
        revision = unquote(words[3]) if len(words) > 3 else "main"
        commits = {hashlib.sha1(f"{name} {branch}".encode()).hexdigest(): branch for branch in self._branches_of(name)}
        revision = commits.get(revision, revision)
        if revision not in commits.values():
            return 404, Refusal("RevisionNotFound")
        files = self.repositories[name] if revision == "main" else self.branches[name, revision]
        commit = next(commit for commit, branch in commits.items() if branch == revision)
        if words[2:3] == ["tree"]:
            entries = [(file, {"size": len(content), "oid": hashlib.sha1(content).hexdigest()}) for file, content in files.items()]
            return 200, [{"type": "file", "path": file} | entry for file, entry in entries]
        if words[2:3] != ["resolve"]:
            siblings = [{"rfilename": file} for file in files]
            return 200, {"id": "/".join(words[:2]), "sha": commit, "siblings": siblings, "private": False, "tags": []}
        file = unquote("/".join(words[4:]))
        return (200, File(files[file], commit)) if file in files else (404, Refusal("EntryNotFound"))

    def _branches_of(self, name: str) -> list[str]:
        return ["main"] + [branch for owner, branch in self.branches if owner == name]

    def _object(self, one: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.endpoint}/large/{one['oid']}"
        return one | {"authenticated": True, "actions": {"upload": {"href": href, "header": {}}}}

    def _commit(self, repository: str, key: str, value: dict[str, Any]) -> None:
        files = self.repositories[repository]
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            files[value["path"]] = self.large_files[value["oid"]]


class File:
    def __init__(self, content: bytes, commit: str) -> None:
        self.content = content
        self.headers = {"X-Repo-Commit": commit, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}


class Refusal:
    def __init__(self, code: str) -> None:
        self.content = b"{}"
        self.headers = {"X-Error-Code": code, "X-Error-Message": f"the hub says {code}"}


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
            hub.may_answer.wait()
            status, answer = hub.answer(self.command, self.path.split("?")[0], body, token)
            plain = isinstance(answer, (File, Refusal))
            content = answer.content if plain else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in (answer.headers if plain else {"Content-Type": "application/json"}).items():
                self.send_header(name, value)
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
        hub.may_answer.set()
        server.shutdown()
        server.server_close()
