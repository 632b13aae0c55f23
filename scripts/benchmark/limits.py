"""How near embedding is to what the processor can do, and how near an ingest is to embedding.

    python scripts/benchmark/limits.py FOLDER [--config FILE] [--rounds 3] [--json]

The processor's rate is measured: products of square matrices, in float32 and in bfloat16, on the
cores that embedding uses, through OpenVINO where it is installed, else through PyTorch. A model's
operations for a token are counted from its `config.json`. The distance is the tokens that are
embedded a second over the tokens that the rate would allow.

The overlap is the time of a whole ingest of FOLDER, as a command in a process of its own, over the
time that another process takes to load the model and embed the same chunks in one call and nothing
else; they take turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retriever.assembly import embedder_options, loading_options, open_chunker, open_loader
from retriever.embedding.opening import open_embedder
from retriever.embedding.weights import find_model
from retriever.errors import MissingDependencyError
from retriever.loading.walking import walk
from retriever.protocols import Embedder
from retriever.records import CorpusFile, Root
from retriever.settings import Settings

SIDE = 2_048
PRODUCTS = 12
COMMAND = str(Path(sys.executable).with_name("retriever"))
_ALONE = """
import json, sys, time
began_s = time.perf_counter()
from retriever.assembly import open_configured_embedder
from retriever.settings import Settings
embedder = open_configured_embedder(Settings.load(*sys.argv[2:]))
texts = json.loads(open(sys.argv[1], encoding="utf-8").read())
embedder.embed_chunks(texts[:1])
loaded_s = time.perf_counter() - began_s
embedder.embed_chunks(texts)
print(json.dumps([loaded_s, time.perf_counter() - began_s]))
"""


def rates() -> dict[str, float]:
    """Operations a second (a multiplication and an addition are two), by precision."""
    try:
        from retriever.embedding.openvino import import_openvino

        openvino = import_openvino()
    except MissingDependencyError:
        return {name: _best_rate(_torch_product(name)) for name in ("float32", "bfloat16")}
    return {
        name: _best_rate(_openvino_product(openvino, hint))
        for name, hint in (("float32", "f32"), ("bfloat16", "bf16"))
    }


def _best_rate(multiply: Callable[[], object]) -> float:
    multiply()
    took_s = []
    for _ in range(PRODUCTS):
        began_s = time.perf_counter()
        multiply()
        took_s.append(time.perf_counter() - began_s)
    return 2 * SIDE**3 / min(took_s)


def _openvino_product(openvino: Any, hint: str) -> Callable[[], object]:
    """A product with a constant matrix, as a layer of a model is."""
    opset = openvino.opset13
    draw = np.random.default_rng(0)
    given = opset.parameter([SIDE, SIDE], np.float32)
    held = opset.constant(draw.standard_normal((SIDE, SIDE), dtype=np.float32))
    model = openvino.Model([opset.matmul(given, held, False, False)], [given])
    properties = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    request = openvino.Core().compile_model(model, "CPU", properties).create_infer_request()
    left = draw.standard_normal((SIDE, SIDE), dtype=np.float32)
    return lambda: request.infer([left])


def _torch_product(precision: str) -> Callable[[], object]:
    import torch

    kind = getattr(torch, precision)
    left, right = (torch.randn(SIDE, SIDE).to(kind) for _ in range(2))
    return lambda: left @ right


def operations_per_token(folder: Path, mean_tokens: float) -> float:
    """Of a BERT: four square products and two of the feed-forward net in each layer, attention.

    Attention compares a token with every token of its text and mixes as many values. Vaswani et
    al. 2017, section 3; embeddings, norms and activations are left out.
    """
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    width, inner = int(told["hidden_size"]), int(told["intermediate_size"])
    layer = 2 * (4 * width * width + 2 * width * inner) + 2 * 2 * mean_tokens * width
    return float(int(told["num_hidden_layers"]) * layer)


def chunk_texts(settings: Settings, embedder: Embedder, folder: Path) -> Iterator[str]:
    """What an ingest of a folder would embed."""
    chunker = open_chunker(settings, embedder)
    root = Root(name=folder.name, path=folder.resolve())
    with open_loader(settings) as loader:
        for file in walk([root], loading_options(settings)):
            if isinstance(file, CorpusFile):
                yield from (chunk.embedded_text for chunk in chunker.chunk(loader.load(file)))


def ingest_s(folder: Path, config: list[str]) -> float:
    """Wall time of a first ingest."""
    with tempfile.TemporaryDirectory() as state:
        named = [word for file in config for word in ("--config", file)]
        began_s = time.perf_counter()
        subprocess.run(
            [COMMAND, "ingest", str(folder), *named],
            env=os.environ | {"RETRIEVER_STORAGE__PATH": state},
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - began_s


def alone_s(texts: Path, config: list[str]) -> tuple[float, float]:
    """Seconds until the model is loaded, and until all is embedded."""
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(texts), *config], capture_output=True, check=True
    )
    loaded_s, whole_s = json.loads(done.stdout)
    return float(loaded_s), float(whole_s)


def measure(folder: Path, config: list[str], rounds: int) -> dict[str, object]:
    """Every figure, by name."""
    settings = Settings.load(*config)
    options = embedder_options(settings)
    embedder = open_embedder(options)
    texts = list(dict.fromkeys(chunk_texts(settings, embedder, folder)))
    tokens = sum(embedder.count_tokens(texts))
    alone, whole, ratios = [], [], []
    with tempfile.TemporaryDirectory() as work:
        written = Path(work) / "texts.json"
        written.write_text(json.dumps(texts), encoding="utf-8")
        for _ in range(rounds):
            loaded_s, embedded_s = alone_s(written, config)
            alone.append((loaded_s, embedded_s))
            whole.append(ingest_s(folder, config))
            ratios.append(whole[-1] / embedded_s)
    per_s = tokens / min(embedded_s - loaded_s for loaded_s, embedded_s in alone)
    each = operations_per_token(find_model(options), tokens / len(texts))
    measured = rates()
    return {
        "chunks": len(texts),
        "tokens": tokens,
        "million_operations_per_token": round(each / 1e6, 2),
        **{f"{name}_gflops": round(rate / 1e9, 1) for name, rate in measured.items()},
        "tokens_per_s": round(per_s),
        **{f"share_of_{name}": round(per_s * each / rate, 3) for name, rate in measured.items()},
        "load_s": round(statistics.median(one for one, _ in alone), 2),
        "embed_alone_s": round(statistics.median(one for _, one in alone), 2),
        "ingest_s": round(statistics.median(whole), 2),
        "overlap": round(statistics.median(ratios), 3),
        "overlaps": [round(one, 3) for one in ratios],
    }


def main() -> None:
    """Print the figures, as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.folder.resolve(), arguments.config, arguments.rounds)
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print("| figure | value |\n| --- | --- |")
    for name, value in found.items():
        print(f"| {name.replace('_', ' ')} | {value} |")


if __name__ == "__main__":
    main()
