"""The conformance kit for readers of file formats. The docstrings are the contract."""

import random

from retriever.errors import LoadingError
from retriever.loading import Content, FileBytes, LoadingOptions, Reader
from retriever.loading.metadata import MAX_KEY_BYTES, MAX_KEYS, MAX_VALUE_BYTES
from retriever.loading.reading import checked

OPTIONS = LoadingOptions(
    include=(),
    exclude=(),
    use_ignore_files=True,
    max_file_mb=50.0,
    max_unpacked_mb=200.0,
    timeout_s=60.0,
    memory_mb=2048,
)
DAMAGED_COPIES = 20


class ReaderContract:
    """What every reader promises. Inherit, and override `reader` and `file` with fixtures:

        class TestMyReader(ReaderContract):
            @pytest.fixture
            def reader(self):
                return my_format.read

            @pytest.fixture
            def file(self):
                return FileBytes(b"...", "example.xyz", "my format")

    `word` is a word that stands in the file's text.
    """  # noqa: D415

    word = "word"

    def reader(self) -> Reader:
        """The reader under test; a fixture of this name takes its place."""
        raise NotImplementedError("Override `reader` with a pytest fixture.")

    def file(self) -> FileBytes:
        """A file of the format, with text; a fixture of this name takes its place."""
        raise NotImplementedError("Override `file` with a pytest fixture.")

    def test_the_text_is_found_and_can_be_stored(self, reader: Reader, file: FileBytes) -> None:
        """The text holds the file's words, no NUL and no lone surrogate."""
        content = reader(file, OPTIONS)
        _check(self.word in content.text, f"{self.word!r} is not in {content.text[:200]!r}")
        content.text.encode("utf-8")
        _check("\x00" not in content.text, "the text holds a NUL")
        _check(content.format == file.format, f"format is {content.format!r}")

    def test_the_same_bytes_give_the_same_content(self, reader: Reader, file: FileBytes) -> None:
        """The content depends on the bytes, the format and the options alone."""
        other_name = FileBytes(file.data, "other", file.format)
        _check(reader(file, OPTIONS) == reader(other_name, OPTIONS), "two readings differ")

    def test_spans_lie_in_the_text_in_their_order(self, reader: Reader, file: FileBytes) -> None:
        """Headings and pages follow one another inside the text; pages are numbered upwards."""
        content = reader(file, OPTIONS)
        for spans in (content.headings, content.pages):
            position = 0
            for span in spans:
                _check(position <= span.start <= span.end, f"{span} overlaps the one before it")
                position = span.end
            _check(position <= len(content.text), f"a span ends at {position}, beyond the text")
        numbers = [page.number for page in content.pages]
        _check(numbers == sorted(set(numbers)), f"pages are numbered {numbers}")
        _check(0 <= content.body_start <= len(content.text), "the body begins beyond the text")

    def test_a_heading_covers_its_text(self, reader: Reader, file: FileBytes) -> None:
        """The first word of a heading stands within its span; its level is 1 to 6."""
        content = reader(file, OPTIONS)
        for heading in content.headings:
            covered = content.text[heading.start : heading.end]
            _check(heading.text.split()[0] in covered, f"{heading.text!r} is not in {covered!r}")
            _check(1 <= heading.level <= 6, f"level {heading.level}")

    def test_metadata_is_bounded(self, reader: Reader, file: FileBytes) -> None:
        """At most 16 keys of at most 36 bytes, values of at most 8,000 bytes, none empty."""
        metadata = reader(file, OPTIONS).metadata
        _check(len(metadata) <= MAX_KEYS, f"{len(metadata)} keys")
        for key, value in metadata.items():
            _check(0 < len(key.encode()) <= MAX_KEY_BYTES, f"key {key!r}")
            _check(key[0] not in "#$", f"key {key!r}")
            strings = value if isinstance(value, tuple) else (str(value),)
            size = sum(len(string.encode()) for string in strings)
            _check(0 < size <= MAX_VALUE_BYTES, f"value of {key!r} has {size} bytes")

    def test_damage_is_a_reason_not_a_crash(self, reader: Reader, file: FileBytes) -> None:
        """A damaged or cut file gives content or a `LoadingError` with a reason."""
        chance = random.Random(0)  # noqa: S311
        for _ in range(DAMAGED_COPIES):
            data = bytearray(file.data[: chance.randint(1, len(file.data))])
            data[chance.randrange(len(data))] ^= 0xFF
            damaged = FileBytes(bytes(data), file.name, file.format)
            try:
                content: Content | None = checked(reader, damaged, OPTIONS)
            except LoadingError as error:
                _check(bool(error.reason), "an error without a reason")
            else:
                _check(content is not None, "a reader answered None")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
