"""Every setting: the tree, what its keys are called, and the layers that it is read from."""

from retriever.settings.tree import EmbeddingSettings, Settings

__all__ = ["EmbeddingSettings", "Settings"]
