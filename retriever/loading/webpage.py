"""Reader of HTML pages: their content as Markdown, without menus and banners."""

import re
from copy import deepcopy
from html import unescape
from typing import Any

from retriever.errors import LoadingError
from retriever.loading import domtext, headings, metadata
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.loading.decoding import decode, storable

_META_BYTES = 1 << 20
_CHARSET = re.compile(
    rb"<meta[^>]{0,300}?charset\s*=\s*[\"']?\s*([A-Za-z][\w.:-]{0,40})"
    rb"|<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z][\w.-]{0,40})[\"']", re.I)  # fmt: skip
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_NOT_SHOWN = re.compile(
    r"<(script|style|noscript|template|head)\b.*?</\1\s*>|<!--.*?-->", re.I | re.S
)
_NOT_IN_TREES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # lxml refuses them
_EARLY_END = re.compile(r"</html\s*>(?=\s*\S)", re.I)  # the parser drops what follows
_TAG = re.compile(r"<[/!?a-zA-Z][^<>]*>")
_BOILERPLATE = frozenset({"nav", "footer", "aside", "header"})
_PAGE_TAGS = frozenset({"head", "body", "title", "meta"})
_MAIN = ("//main", "//*[@role='main']", "//article")
_MIN_SHARE = 0.3  # an extract below this share of the whole text has lost the page
_MIN_BLOCK_SHARE = 0.8  # of the headings, tables and code within the content
_LONG_LINE = 40
_LINES_LOOKED_FOR = 50
_MOST_LINES = 0.85
_MAX_STEPS_DOWN = 50
_RAISED_OR_LOWERED = re.compile(r"</?su[bp]>")
_TABLE_AFTER_CODE = re.compile(r"(?<=\n```)\n\|")
_NO_LETTERS = re.compile(r"[\W_]+")
_LINE_END_SPACE = re.compile(r"[ \t]+$", re.M)
_LONGEST_ARTICLE_LETTERS = 2_000_000  # what is longer is a dump or a book, and takes a minute
_SHORT_PAGE_LETTERS = 1000
_MAX_TITLE_CHARACTERS = 500


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """The content of a page as Markdown.

    trafilatura finds the content of articles; where it finds too little, or loses headings,
    tables or code that stand in the page's main part, all visible text of that part is taken.

    Raises:
        LoadingError: the page cannot be parsed.
    """
    declared = _CHARSET.search(file.data[:_META_BYTES])
    name = (declared.group(1) or declared.group(2)).decode() if declared else ""
    decoded = decode(file.data, declared=name)
    tree, is_whole = _parsed(decoded.text)
    text = storable(_best(tree) if is_whole else _without_tags(decoded.text))
    cut = () if is_whole else ("nested too deeply: read without its structure",)
    found = headings.find_markdown(text)
    kept, dropped = metadata.bounded(_fields(tree))
    return Content(
        text,
        file.format,
        "markdown",
        title=storable(_title(tree)) or headings.first_title(found),
        headings=found,
        metadata=kept,
        warnings=decoded.warnings + cut + dropped,
    )


def _parsed(html: str) -> tuple[Any, bool]:
    """The tree, and whether it is the whole page: the parser stops 2,048 levels down."""
    from lxml import etree
    from lxml.html import HTMLParser, document_fromstring

    open_to_its_end = _EARLY_END.sub("", _XML_DECLARATION.sub("", html, count=1))
    storable_in_trees = _NOT_IN_TREES.sub(" ", open_to_its_end)
    data = storable_in_trees.encode("utf-8", errors="replace")
    parser = HTMLParser(encoding="utf-8", huge_tree=True)
    try:
        tree = document_fromstring(data, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise LoadingError("no text") from error
    for element in tree.iter(etree.Element):  # a reference such as &#1; brings them back
        if element.text and _NOT_IN_TREES.search(element.text):
            element.text = _NOT_IN_TREES.sub(" ", element.text)
        if element.tail and _NOT_IN_TREES.search(element.tail):
            element.tail = _NOT_IN_TREES.sub(" ", element.tail)
    return tree, not any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log)


def _without_tags(html: str) -> str:
    """The text between the tags, one line for each run of it."""
    shown = _TAG.sub("\n", _NOT_SHOWN.sub("\n", html))
    lines = (" ".join(unescape(line).split()) for line in shown.split("\n"))
    return "\n".join(line for line in lines if line)


def _best(tree: Any) -> str:
    whole = domtext.to_markdown(tree)
    if _letters(whole) < _SHORT_PAGE_LETTERS:
        return whole
    article = _article(tree) if _letters(whole) <= _LONGEST_ARTICLE_LETTERS else ""
    main = domtext.to_markdown(_main_part(tree, article), _BOILERPLATE)
    if _letters(main) < _MIN_SHARE * _letters(whole):
        main = domtext.to_markdown(tree, _BOILERPLATE)
    if _letters(main) < _MIN_SHARE * _letters(whole):
        main = whole
    if _letters(article) < _MIN_SHARE * _letters(main):
        return main
    return article if _kept_blocks(main, article) >= _MIN_BLOCK_SHARE else main


def _article(tree: Any) -> str:
    import trafilatura

    found = trafilatura.extract(
        _tidied(tree),
        output_format="markdown",
        include_tables=True,
        include_comments=False,
        favor_recall=True,
    )
    text = _TABLE_AFTER_CODE.sub("\n\n|", _RAISED_OR_LOWERED.sub("", found or ""))
    return _LINE_END_SPACE.sub("", text).strip()


def _tidied(tree: Any) -> Any:
    """A copy without what is hidden, its white space as a browser shows it."""
    copy = deepcopy(tree)
    for element in list(copy.iterdescendants()):
        is_page = element.tag in _PAGE_TAGS or element.getparent() is None
        if isinstance(element.tag, str) and not is_page and domtext.is_hidden(element):
            element.drop_tree()
    domtext.collapse_white_space(copy)
    return copy


def _main_part(tree: Any, article: str) -> Any:
    """What the page declares to be its main part; else the least part that holds the article."""
    for path in _MAIN:
        found = [each for each in tree.xpath(path) if not domtext.is_hidden(each)]
        if len(found) == 1:
            return found[0]
    lines = [words for line in article.split("\n") if len(words := _words(line)) >= _LONG_LINE]
    lines = lines[:: max(1, len(lines) // _LINES_LOOKED_FOR)]
    part = tree
    for _ in range(_MAX_STEPS_DOWN):
        inner = next((child for child in part if lines and _holds(child, lines)), None)
        if inner is None:
            break
        part = inner
    return part


def _holds(element: Any, lines: list[str]) -> bool:
    if not isinstance(element.tag, str):
        return False
    text = _words("".join(element.itertext()))
    return sum(line in text for line in lines) >= _MOST_LINES * len(lines)


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _kept_blocks(main: str, article: str) -> float:
    """The share of the main part's headings, table rows and code lines that an extract kept."""
    wanted = [_words(line) for line in _structured(main)]
    wanted = [words for words in wanted if words]
    if len(wanted) < 3:
        return 1.0
    held = {_words(line) for line in _structured(article)}
    return sum(words in held for words in wanted) / len(wanted)


def _structured(markdown: str) -> list[str]:
    lines: list[str] = []
    in_code = False
    for line in markdown.split("\n"):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif in_code or line.lstrip().startswith(("#", "|")):
            lines.append(line)
    return lines


def _words(line: str) -> str:
    return _NO_LETTERS.sub("", line)


def _title(tree: Any) -> str:
    found = tree.find(".//head/title")
    title = "" if found is None else " ".join("".join(found.itertext()).split())
    return title[:_MAX_TITLE_CHARACTERS]


def _fields(tree: Any) -> dict[object, object]:
    fields: dict[object, object] = {}
    for element in tree.iterfind(".//head/meta"):
        name = element.get("name", "").strip().lower()
        if name in {"description", "author", "keywords", "date"}:
            fields.setdefault(name, element.get("content", ""))
    fields.setdefault("language", tree.get("lang") or "")
    return fields
