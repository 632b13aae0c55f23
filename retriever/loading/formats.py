"""The table of formats. To add one: write a reader, add a row here, add its test.

A row says how a file of the format is told from others and who reads it. Bytes are looked at
before names (`retriever.loading.sniffing`): a format with a signature is found by that, and a
file that only bears its extension is refused. The other formats are text; the extension decides
between them.
"""

import importlib
from dataclasses import dataclass
from typing import cast

from retriever.loading.content import Reader


@dataclass(frozen=True, slots=True)
class Format:
    """One row."""

    name: str
    """What `Document.format` says."""
    label: str
    """What a person calls a file of it, with its article."""
    extensions: tuple[str, ...]
    """Lower case, without the dot."""
    reader: str
    """`module:function` below `retriever.loading`, imported when the first such file is read."""
    risky: bool = False
    """Read in the worker process: its parser is large, or can be made to run for ever."""
    signed: bool = False
    """Files of it begin with a signature; without one a file is none, whatever its name."""


def _words(words: str) -> tuple[str, ...]:
    return tuple(words.split())


FORMATS = (
    Format("markdown", "Markdown", ("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd"),
           "text:read_markdown"),
    Format("text", "a text file", ("txt", "text", "log", "vtt", "srt", "sub", "me", "1st"),
           "text:read_plain"),
    Format("restructuredtext", "reStructuredText", ("rst", "rest"), "text:read_restructured"),
    Format("asciidoc", "AsciiDoc", ("adoc", "asciidoc", "asc"), "text:read_marked"),
    Format("org", "Org", ("org",), "text:read_marked"),
    Format("latex", "LaTeX", ("tex", "latex", "ltx"), "text:read_marked"),
    Format("csv", "a CSV table", ("csv",), "text:read_rows"),
    Format("tsv", "a TSV table", ("tsv", "tab"), "text:read_rows"),
    Format("jsonl", "JSON lines", ("jsonl", "ndjson", "jsonlines"), "text:read_rows"),
    Format("json", "JSON", ("json", "geojson", "jsonld", "json5", "jsonc", "webmanifest"),
           "text:read_code"),
    Format("config", "a configuration file",
           ("yaml", "yml", "toml", "ini", "cfg", "conf", "properties", "env", "editorconfig"),
           "text:read_code"),
    Format("code", "source code", _words(
        "py pyi pyx js mjs cjs jsx ts mts cts tsx java kt kts scala sc groovy gradle clj cljs "
        "c h cc cpp cxx hpp hh hxx inl m mm cs fs fsx vb go rs rb erb php pl pm t lua r jl swift "
        "dart ex exs erl hrl hs elm ml mli nim zig d v sv vhd vhdl f f90 f95 f03 for pas asm s "
        "sh bash zsh fish bat cmd ps1 psm1 awk sed sql css scss sass less vue svelte astro "
        "graphql gql proto thrift tf hcl nix cmake mk mak dockerfile diff patch sol lisp el scm "
        "rkt tcl coffee cr hx pug haml j2 jinja jinja2 tmpl mustache hbs ejs"),
           "text:read_code"),
    Format("ipynb", "a notebook", ("ipynb",), "notebook:read"),
    Format("eml", "a mail", ("eml", "mht", "mhtml"), "mail:read_mail", risky=True),
    Format("mbox", "a mailbox", ("mbox", "mbx"), "mail:read_mailbox", risky=True),
    Format("html", "an HTML page", ("html", "htm", "xhtml", "xht", "shtml"), "webpage:read",
           risky=True),
    Format("xml", "XML", (
        "xml", "xsd", "xsl", "xslt", "rss", "atom", "jats", "nxml", "dita", "ditamap", "docbook",
        "dbk", "tei", "opml", "wsdl", "plist", "kml", "gpx", "rdf", "owl", "fb2", "xlf", "tmx"),
           "xmltext:read", risky=True),
    Format("pdf", "a PDF", ("pdf",), "pdf:read", risky=True, signed=True),
    Format("docx", "a DOCX", ("docx", "docm", "dotx", "dotm"), "office:read", risky=True,
           signed=True),
    Format("pptx", "a PPTX", ("pptx", "pptm", "ppsx", "ppsm", "potx", "potm"),
           "powerpoint:read",
           risky=True, signed=True),
    Format("xlsx", "an XLSX", ("xlsx", "xlsm", "xltx", "xltm"), "office:read", risky=True,
           signed=True),
    Format("odt", "an ODT", ("odt", "ott"), "office:read", risky=True, signed=True),
    Format("odp", "an ODP", ("odp", "otp"), "odp:read", risky=True, signed=True),
    Format("ods", "an ODS", ("ods", "ots"), "office:read", risky=True, signed=True),
    Format("rtf", "an RTF", ("rtf",), "office:read", risky=True, signed=True),
    Format("epub", "an EPUB", ("epub",), "office:read", risky=True, signed=True),
    Format("doc", "a DOC", ("doc", "dot"), "office:read", risky=True, signed=True),
    Format("ppt", "a PPT", ("ppt", "pps", "pot"), "office:read", risky=True, signed=True),
    Format("xls", "an XLS", ("xls", "xlt"), "office:read", risky=True, signed=True),
)  # fmt: skip

TEXT_NAMES = _words(
    "readme license licence copying notice authors contributors contributing changelog changes "
    "news todo install history version makefile gnumakefile dockerfile containerfile jenkinsfile "
    "vagrantfile rakefile gemfile procfile brewfile justfile cmakelists.txt"
)
"""Names of text files that bear no extension, in lower case."""

ARCHIVES = _words(
    "zip tar gz tgz bz2 tbz2 xz txz 7z rar zst lz4 lzma cab iso jar war ear whl apk deb rpm dmg "
    "z br"
)
UNREADABLE = _words(
    "png jpg jpeg jpe gif bmp tif tiff webp ico icns heic heif avif svg svgz psd ai eps raw cr2 "
    "nef mp3 mp4 m4a m4v mov avi mkv webm wav flac ogg oga ogv opus aac wma wmv flv mid midi "
    "ttf otf woff woff2 eot exe dll so dylib a o obj lib bin class pyc pyo wasm dex node "
    "db sqlite sqlite3 mdb accdb parquet feather arrow avro orc npy npz h5 hdf5 mat pkl pickle "
    "pt pth onnx safetensors gguf tflite pb ckpt joblib rds rdata dta sav shp shx dbf "
    "msg pst ost one pub vsd vsdx mpp pages numbers key wpd djvu xps azw azw3 mobi chm "
    "blend stl fbx glb gltf dwg dxf swf fla map lock sum min"
)
"""Extensions of files that are never read, though some of them hold text."""

_BY_NAME = {row.name: row for row in FORMATS}
_BY_EXTENSION = {extension: row for row in FORMATS for extension in row.extensions}


def by_name(name: str) -> Format:
    """The row of a format."""
    return _BY_NAME[name]


def by_extension(extension: str) -> Format | None:
    """The row whose files bear this extension (lower case, no dot), or None."""
    return _BY_EXTENSION.get(extension)


def reader_of(row: Format) -> Reader:
    """Import the reader that a row names."""
    module, _, function = row.reader.partition(":")
    return cast(Reader, getattr(importlib.import_module(f"retriever.loading.{module}"), function))
