"""What the backends that run on torch share: devices, arithmetic, and quiet loading."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from retriever.errors import SettingsError


def device_for(torch: Any, wanted: str) -> str:
    """The device to run on: the one named, or the best one there is for `auto`.

    Raises:
        SettingsError: torch knows no such device, or this machine has none.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        # The first sentence says what is wrong, the rest is advice to programmers of torch.
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"embedding.device is {wanted!r}, which cannot be used here: {reason} "
            "Set it to auto or cpu."
        ) from error
    return wanted


def fastest(torch: Any, device: str) -> str | None:
    """The precision below float32 that a device computes natively, or None."""
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if device == "cpu":
        has: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
        return "bfloat16" if has.get("amx_bf16") or has.get("avx512_bf16") else None
    return None


def arithmetic(torch: Any, device: str, precision: str) -> AbstractContextManager[object]:
    """A context in which torch computes in `precision` on `device`."""
    if precision == "float32":
        return nullcontext()
    kind = device.partition(":")[0]
    autocast: AbstractContextManager[object] = torch.autocast(kind, dtype=getattr(torch, precision))
    return autocast


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Switch the progress bar of transformers off while a model is loaded, and on again."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
