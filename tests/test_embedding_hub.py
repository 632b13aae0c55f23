"""Fetching a model from a hub: the files that are needed, and none that could run code."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny_models import write_pipeline_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FIND = """
import sys
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.errors import SettingsError
try:
    embedder = open_embedder(EmbedderOptions(model=sys.argv[1]))
except SettingsError as error:
    print(error)
else:
    print(embedder.fingerprint.dimension, embedder.count_tokens(["the cat"]))
"""


class Hub(ThreadingHTTPServer):
    """A hub with the one repository `owner/tiny`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.folder = folder
        self.fetched: list[str] = []

    @property
    def names(self) -> list[str]:
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in files)


class HubHandler(BaseHTTPRequestHandler):
    """As much of the hub's protocol as its client asks for."""

    server: Hub
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        resolved = f"/owner/tiny/resolve/{COMMIT}/"
        if path.startswith("/api/models/owner/tiny/tree/"):
            self._send(json.dumps([self._entry(name) for name in self.server.names]).encode())
        elif path.startswith("/api/models/owner/tiny"):
            siblings = [{"rfilename": name} for name in self.server.names]
            info = {"id": "owner/tiny", "sha": COMMIT, "siblings": siblings}
            self._send(json.dumps(info).encode())
        elif path.startswith(resolved):
            name = path.removeprefix(resolved)
            if with_body:
                self.server.fetched.append(name)
            self._send((self.server.folder / name).read_bytes(), with_body=with_body)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _entry(self, name: str) -> dict[str, object]:
        size = (self.server.folder / name).stat().st_size
        return {"type": "file", "path": name, "size": size, "oid": "0" * 40}

    def _send(self, content: bytes, *, with_body: bool = True) -> None:
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = write_pipeline_files(tmp_path / "repository")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "pytorch_model.bin").write_bytes(b"pickled weights")
    (folder / "modeling_own.py").write_text("raise SystemExit", encoding="utf-8")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}", encoding="utf-8")
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def find(hub: Hub, home: Path, model: str) -> str:
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PATH": "",
    }
    command = [sys.executable, "-c", FIND, model]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return run.stdout.strip()


def test_a_model_is_fetched_once_and_without_what_could_run_code(hub: Hub, tmp_path: Path) -> None:
    assert find(hub, tmp_path / "home", "owner/tiny") == "32 [4]"
    fetched = set(hub.fetched)
    assert {"model.safetensors", "tokenizer.json", "1_Pooling/config.json"} <= fetched
    assert not fetched & {"pytorch_model.bin", "modeling_own.py", "onnx/config.json"}
    hub.fetched.clear()
    assert find(hub, tmp_path / "home", "owner/tiny") == "32 [4]"
    assert hub.fetched == []


def test_a_model_that_the_hub_does_not_have_is_an_error_with_every_place(
    hub: Hub, tmp_path: Path
) -> None:
    message = find(hub, tmp_path / "home", "owner/missing")
    assert "(1) the Hugging Face cache" in message
    assert "(2) the Hugging Face hub" in message
