"""Models of a few kilobytes with random weights, made by the tests: real formats, real code."""

import json
from pathlib import Path

WORDS = """the a cat feline dog sat rested on mat rug invoice invoices are due within thirty days
of date issue quarterly report lists revenue cost sales and operating income by region word kitten
payment def area radius return query passage"""


def write_tokenizer(folder: Path) -> None:
    """A WordPiece tokenizer that falls back to letters, as BERT's does."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = [*letters, *(f"##{letter}" for letter in letters)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    vocabulary += [word for word in dict.fromkeys(WORDS.split()) if word not in vocabulary]
    tokenizer = Tokenizer(
        WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "model_max_length": 72,
                "pad_token": "[PAD]",
                "unk_token": "[UNK]",
                "cls_token": "[CLS]",
                "sep_token": "[SEP]",
                "mask_token": "[MASK]",
            }
        ),
        encoding="utf-8",
    )


def write_transformer(folder: Path, *, architecture: str = "bert") -> Path:
    """Two layers, 32 dimensions and a window of 72 tokens or more; imports torch."""
    import torch
    from transformers import AutoConfig, AutoModel

    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    torch.manual_seed(11)
    config = AutoConfig.for_model(
        architecture,
        vocab_size=512,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=98,
        initializer_range=0.2,
        pad_token_id=0,
    )
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


def write_pipeline(folder: Path, *, prompts: dict[str, str] | None = None) -> Path:
    """The same transformer as a sentence-transformers model; imports torch."""
    write_transformer(folder)
    return write_pipeline_files(folder, prompts=prompts)


def write_pipeline_files(folder: Path, *, prompts: dict[str, str] | None = None) -> Path:
    """All of a pipeline but its weights: mean pooling, normalised, a window of 64 tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "config.json").exists():
        write_tokenizer(folder)
        config = {"model_type": "bert", "hidden_size": 32, "max_position_embeddings": 96}
        _write_json(folder / "config.json", config)
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_N", "Normalize")]
    _write_json(
        folder / "modules.json",
        [
            {"idx": int(n), "name": n, "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, path, kind in modules
        ],
    )
    _write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True},
    )
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 64})
    _write_json(folder / "config_sentence_transformers.json", {"prompts": prompts or {}})
    return folder


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
