"""Ask a server that others wrote (infinity-emb) for the default model's vectors, and compare.

    python scripts/benchmark/third_party_server.py [--environment FOLDER] [--json]

Makes an environment of its own for infinity-emb 0.0.78, whose older sentence-transformers and
numpy would not fit beside ours; torch is taken from the environment that runs this. The server
gets the folder of all-MiniLM-L6-v2, our OpenAI backend asks it, and `cosine` is the lowest
cosine to the vectors that this package makes of the same texts. Nothing leaves this machine but
the installation. Takes half a minute, most of it the installation, and 330 MB.
"""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

from retriever.assembly import embedder_options
from retriever.embedding.opening import open_embedder
from retriever.embedding.options import EmbedderOptions
from retriever.embedding.weights import find_model
from retriever.settings import Settings

WITH_DEPENDENCIES = ("infinity-emb[server]==0.0.78",)
WITHOUT_DEPENDENCIES = (
    "sentence-transformers>=3.4,<4",
    "transformers>=4.47,<5",
    "tokenizers>=0.21,<0.23",
    "huggingface-hub<1",
)
START_S = 120.0
NOT_INSTALLED = 3
TEXTS = [
    "The cat sat on the mat.",
    "A feline rested on the rug.",
    "Die Katze schläft auf dem Sofa.",
    "def area(radius): return 3.14159 * radius ** 2",
    "日本語のテキスト",
    *(f"Section {i}: the pump is reset after {i} seconds of pressure. " * 5 for i in range(59)),
]


def make_environment(folder: Path) -> Path:
    """An environment with the server; its command."""
    command = folder / "bin" / "infinity_emb"
    if command.exists():
        return command
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
    subprocess.run([*pip, *WITH_DEPENDENCIES], check=True)
    subprocess.run([*pip, "--no-deps", *WITHOUT_DEPENDENCIES], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    (packages / "after.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return command


@contextlib.contextmanager
def served(command: Path, model: Path) -> Iterator[str]:
    """The address of the running server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"}
    arguments = f"--model-id {model} --engine torch --device cpu --dtype float32".split()
    arguments += f"--host 127.0.0.1 --port {port} --url-prefix /v1 --no-bettertransformer".split()
    arguments += ["--no-model-warmup", "--served-model-name", "minilm"]
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [str(command), "v2", *arguments], env=os.environ | quiet, stdout=log, stderr=log
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            server.wait(timeout=30)
            log.seek(0)
            if server.returncode not in (0, -15):
                sys.stderr.write(log.read().decode(errors="replace")[-2000:])


def wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    """Return when the server answers."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(address, timeout=2).close()  # noqa: S310  # our own server
            return
        time.sleep(0.2)
    raise SystemExit("The server did not start.")


def lowest_cosine(address: str) -> float:
    """Between the server's vectors and ours, over texts and queries."""
    ours = open_embedder(embedder_options(Settings()))
    theirs = open_embedder(
        EmbedderOptions(
            model="minilm",
            backend="openai",
            base_url=address,
            dimension=ours.fingerprint.dimension,
            window_tokens=100_000,  # counted as an upper bound; the texts fit
            concurrency=2,
        )
    )
    chunks = (theirs.embed_chunks(TEXTS) * ours.embed_chunks(TEXTS)).sum(axis=1)
    queries = [theirs.embed_query(text) @ ours.embed_query(text) for text in TEXTS[:5]]
    return float(min(chunks.min(), *queries))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environment", type=Path, help="kept there, and used again")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        began = time.monotonic()
        try:
            command = make_environment((arguments.environment or Path(temporary)).resolve())
        except subprocess.CalledProcessError:
            print("infinity-emb could not be installed.", file=sys.stderr)
            raise SystemExit(NOT_INSTALLED) from None
        installed_s = time.monotonic() - began
        with served(command, find_model(embedder_options(Settings()))) as address:
            started_s = time.monotonic() - began - installed_s
            cosine = lowest_cosine(address)
    found = {
        "server": WITH_DEPENDENCIES[0],
        "texts": len(TEXTS),
        "cosine": round(cosine, 6),
        "install_s": round(installed_s, 1),
        "start_s": round(started_s, 1),
    }
    print(json.dumps(found) if arguments.json else "\n".join(f"{k}: {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
