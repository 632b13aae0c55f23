"""The examples of the guide to embeddings, run here: a Markdown table of what was measured.

    python scripts/benchmark/guide.py [--config FILE] [--words FILE] [--multilingual MODEL]

`--config` names another model than the default. `--words` is a file of word vectors (word2vec or
GloVe) for king - man + woman; without it, the sum is solved over the words of the local model's own
tokenizer, each embedded by itself. `--multilingual` names a model that reads several languages,
such as sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2, by its name or its folder.
"""

import argparse
from collections.abc import Iterator

from retriever import Settings, assembly
from retriever.analysis.analogies import Method, parse_sum, solve
from retriever.analysis.comparing import compare, rank_texts
from retriever.analysis.vocabulary import analogy
from retriever.embedding.opening import open_embedder
from retriever.embedding.weights import find_model
from retriever.errors import RetrieverError

WORDS = ("cat", "feline", "automobile")
BANKS = (
    "We sat down on the bank of the river.",
    "She opened a savings account at the bank.",
    "The bank approved the loan.",
)
QUESTION = "how do attention-based models work?"
SENTENCES = (
    "Convolutional networks slide small filters over an image to detect edges and textures.",
    "Recurrent networks carry a hidden state from one step of a sequence to the next.",
    "Self-attention lets each token of a transformer weigh every other token of its sequence.",
    "Reinforcement learning trains an agent by rewarding the actions that serve its goal.",
    "Clustering groups unlabelled points so that members of a group are alike.",
    "Generative adversarial networks set a generator against a discriminator.",
    "Word embeddings place words with like meanings near each other in a vector space.",
)
PAIR = ("The cat sat on the mat.", "A feline rested on the rug.")
CANCELLATIONS = (
    "How do I cancel my subscription?",
    "Wie kündige ich mein Abonnement?",
    "¿Cómo cancelo mi suscripción?",
)
SUM = "king - man + woman"
METHODS: tuple[Method, ...] = ("3cosadd", "3cosmul")
Row = tuple[str, str]


def by_vectors(settings: Settings) -> Iterator[Row]:
    """What any sentence model can show."""
    words = compare(WORDS, settings).cosines
    yield "cat / feline", f"{words[0, 1]:.3f}"
    yield "cat / automobile", f"{words[0, 2]:.3f}"
    yield "feline / automobile", f"{words[1, 2]:.3f}"
    yield "cat on the mat / feline on the rug", f"{compare(PAIR, settings).cosines[0, 1]:.3f}"
    for rank, one in enumerate(rank_texts(QUESTION, SENTENCES, settings), start=1):
        yield f"{QUESTION} rank {rank}", f"{one.score:.3f} {one.text}"


def by_word(settings: Settings) -> Iterator[Row]:
    """One word in three sentences."""
    found = compare(BANKS, settings, word="bank").cosines
    yield "bank of the river / account at the bank", f"{found[0, 1]:.3f}"
    yield "bank of the river / bank approved the loan", f"{found[0, 2]:.3f}"
    yield "account at the bank / bank approved the loan", f"{found[1, 2]:.3f}"


def across_languages(settings: Settings) -> Iterator[Row]:
    """One question in English, German and Spanish."""
    found = compare(CANCELLATIONS, settings).cosines
    yield "cancel my subscription: English / German", f"{found[0, 1]:.3f}"
    yield "cancel my subscription: English / Spanish", f"{found[0, 2]:.3f}"
    yield "cancel my subscription: German / Spanish", f"{found[1, 2]:.3f}"


def by_word_vectors(path: str) -> Iterator[Row]:
    """The sum of king, woman and less man, by both methods."""
    settings = Settings.load(**{"embedding.backend": "word-vectors", "embedding.path": path})
    for method in METHODS:
        found = analogy([SUM], settings, method=method, count=3)
        nearest = ", ".join(f"{one.word} {one.score:.3f}" for one in found.nearest)
        yield f"{SUM} ({method}, {found.words_known:,} words)", nearest


def by_own_words(settings: Settings) -> Iterator[Row]:
    """The same sum over the words of a local model's tokenizer, each embedded by itself."""
    import tokenizers

    options = assembly.embedder_options(settings)
    reader = tokenizers.Tokenizer.from_file(str(find_model(options) / "tokenizer.json"))
    known = sorted(word for word in reader.get_vocab() if word.isalpha() and word.isascii())
    words = [word for word in known if len(word) > 1]
    vectors = open_embedder(options).embed_chunks(words)
    for method in METHODS:
        found = solve(words, vectors, parse_sum([SUM]), method=method, count=3)
        nearest = ", ".join(f"{one.word} {one.score:.3f}" for one in found)
        yield f"{SUM} ({method}, {len(words):,} words of its tokenizer)", nearest


def guarded(title: str, rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, or one that says why there are none."""
    try:
        yield from rows
    except RetrieverError as error:
        yield title, f"not run: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default=None)
    parser.add_argument("--words", default=None)
    parser.add_argument("--multilingual", default=None)
    arguments = parser.parse_args()
    settings = Settings.load(*filter(None, [arguments.config]))
    tables = [(settings.embedding.model, by_vectors(settings)), ("one word", by_word(settings))]
    if arguments.multilingual:
        other = Settings.load(**{"embedding.model": arguments.multilingual})
        tables.append((arguments.multilingual, across_languages(other)))
    else:
        tables.append((f"{settings.embedding.model} (English only)", across_languages(settings)))
    if arguments.words:
        tables.append((arguments.words, by_word_vectors(arguments.words)))
    else:
        tables.append((SUM, by_own_words(settings)))
    print("| example | measured |\n| --- | --- |")
    for title, rows in tables:
        for example, value in guarded(title, rows):
            print(f"| {example} | {value} |")


if __name__ == "__main__":
    main()
