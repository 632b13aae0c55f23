"""A server that others wrote gives the vectors that this package makes of the same model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "benchmark" / "third_party_server.py"
NOT_INSTALLED = 3


@pytest.mark.slow
@pytest.mark.model
def test_vectors_from_infinity_agree_with_ours_to_0_999(tmp_path: Path) -> None:
    """infinity-emb serves all-MiniLM-L6-v2; our OpenAI backend asks it, client and all."""
    command = [sys.executable, str(SCRIPT), "--json", "--environment", str(tmp_path / "server")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    if done.returncode == NOT_INSTALLED:
        pytest.skip("infinity-emb cannot be installed here: is the package index within reach?")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["texts"] == 64
    assert found["cosine"] > 0.999
