"""Files of many formats, written by hand as bytes: the smallest that their readers accept."""

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence

from retriever.loading import LoadingOptions

OPTIONS = LoadingOptions(
    include=(),
    exclude=(),
    use_ignore_files=True,
    max_file_mb=50.0,
    max_unpacked_mb=200.0,
    timeout_s=60.0,
    memory_mb=2048,
)


def zipped(members: Mapping[str, str | bytes]) -> bytes:
    """A zip file with these members, in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def content_types(main: str) -> str:
    return (
        '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
        'content-types"><Default Extension="xml" ContentType="application/xml"/>'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        f'relationships+xml"/>{main}</Types>'
    )


def relations(*targets: tuple[str, str]) -> str:
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
    rows = "".join(
        f'<Relationship Id="rId{number}" Type="{kind}{name}" Target="{target}"/>'
        for number, (name, target) in enumerate(targets, 1)
    )
    return (
        '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/'
        f'2006/relationships">{rows}</Relationships>'
    )


def docx(*paragraphs: tuple[str, str]) -> bytes:
    """A Word document of (style, text) paragraphs; style `Heading1` makes a heading."""
    body = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'
        for style, text in paragraphs
    )
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return zipped(
        {
            "[Content_Types].xml": content_types(
                f'<Override PartName="/word/document.xml" ContentType="{kind}"/>'
            ),
            "_rels/.rels": relations(("officeDocument", "word/document.xml")),
            "word/document.xml": '<?xml version="1.0"?><w:document xmlns:w="http://schemas.'
            'openxmlformats.org/wordprocessingml/2006/main"><w:body>'
            f"{body}</w:body></w:document>",
        }
    )


_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_PRESENTATION = "http://schemas.openxmlformats.org/presentationml/2006/main"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def slide(title: str, *paragraphs: Sequence[str]) -> str:
    """A slide: its title, and paragraphs as sequences of runs."""

    def shape(kind: str, runs: Sequence[Sequence[str]]) -> str:
        texts = "".join(
            f"<a:p>{''.join(f'<a:r><a:t>{run}</a:t></a:r>' for run in each)}</a:p>" for each in runs
        )
        return (
            f'<p:sp><p:nvSpPr><p:cNvPr id="2" name="x"/><p:cNvSpPr/><p:nvPr><p:ph type="{kind}"/>'
            f"</p:nvPr></p:nvSpPr><p:spPr/><p:txBody>{texts}</p:txBody></p:sp>"
        )

    return (
        f'<?xml version="1.0"?><p:sld xmlns:a="{_DRAWING}" xmlns:p="{_PRESENTATION}"><p:cSld>'
        f"<p:spTree>{shape('body', paragraphs)}{shape('title', [[title]])}</p:spTree></p:cSld>"
        "</p:sld>"
    )


def pptx(*slides: str) -> bytes:
    """A presentation of these slides, whose files are numbered backwards."""
    count = len(slides)
    files = {f"ppt/slides/slide{count - at}.xml": each for at, each in enumerate(slides)}
    kind = "application/vnd.openxmlformats-officedocument.presentationml"
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{kind}.slide+xml"/>' for name in files
    )
    ids = "".join(f'<p:sldId id="{256 + at}" r:id="rId{at + 1}"/>' for at in range(count))
    return zipped(
        {
            "[Content_Types].xml": content_types(
                f'<Override PartName="/ppt/presentation.xml" '
                f'ContentType="{kind}.presentation.main+xml"/>{overrides}'
            ),
            "_rels/.rels": relations(("officeDocument", "ppt/presentation.xml")),
            "ppt/presentation.xml": f'<?xml version="1.0"?><p:presentation xmlns:p='
            f'"{_PRESENTATION}" xmlns:r="{_RELATION}"><p:sldIdLst>{ids}</p:sldIdLst>'
            "</p:presentation>",
            "ppt/_rels/presentation.xml.rels": relations(
                *(("slide", name.removeprefix("ppt/")) for name in files)
            ),
            **files,
        }
    )


def xlsx(**sheets: Sequence[Sequence[str]]) -> bytes:
    """A workbook of named sheets with rows of strings."""
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    names = list(sheets)
    members: dict[str, str | bytes] = {
        "[Content_Types].xml": content_types(
            f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
            + "".join(
                f'<Override PartName="/xl/worksheets/sheet{at}.xml" '
                f'ContentType="{kind}.worksheet+xml"/>'
                for at in range(1, len(names) + 1)
            )
        ),
        "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
        "xl/_rels/workbook.xml.rels": relations(
            *(("worksheet", f"worksheets/sheet{at}.xml") for at in range(1, len(names) + 1))
        ),
        "xl/workbook.xml": f'<?xml version="1.0"?><workbook xmlns="{main}" xmlns:r="{_RELATION}">'
        "<sheets>"
        + "".join(
            f'<sheet name="{name}" sheetId="{at}" r:id="rId{at}"/>'
            for at, name in enumerate(names, 1)
        )
        + "</sheets></workbook>",
    }
    for at, rows in enumerate(sheets.values(), 1):
        cells = "".join(
            f'<row r="{number}">'
            + "".join(
                f'<c r="{chr(65 + column)}{number}" t="inlineStr"><is><t>{text}</t></is></c>'
                for column, text in enumerate(row)
            )
            + "</row>"
            for number, row in enumerate(rows, 1)
        )
        members[f"xl/worksheets/sheet{at}.xml"] = (
            f'<?xml version="1.0"?><worksheet xmlns="{main}"><sheetData>{cells}</sheetData>'
            "</worksheet>"
        )
    return zipped(members)


def opendocument(kind: str, body: str, *, styles: str = "", manifest: str = "") -> bytes:
    """An OpenDocument file; `kind` is text, presentation or spreadsheet."""
    namespaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "text", "table", "style")
    )
    namespaces += ' xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
    namespaces += ' xmlns:presentation="urn:oasis:names:tc:opendocument:xmlns:presentation:1.0"'
    members: dict[str, str | bytes] = {
        "mimetype": f"application/vnd.oasis.opendocument.{kind}",
        "content.xml": f'<?xml version="1.0"?><office:document-content {namespaces}>'
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
        "</office:document-content>",
    }
    if styles:
        members["styles.xml"] = (
            f'<?xml version="1.0"?><office:document-styles {namespaces}><office:master-styles>'
            f"{styles}</office:master-styles></office:document-styles>"
        )
    members["META-INF/manifest.xml"] = manifest or (
        '<?xml version="1.0"?><manifest:manifest xmlns:manifest='
        '"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    )
    return zipped(members)


def epub(title: str, *chapters: str) -> bytes:
    """A book of XHTML chapters."""
    names = [f"c{at}.xhtml" for at in range(len(chapters))]
    items = "".join(
        f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in names
    )
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<?xml version="1.0"?><container version="1.0" xmlns="urn:'
            'oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path='
            '"content.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
            "content.opf": '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" '
            'version="3.0"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>'
            f"{title}</dc:title></metadata><manifest>{items}</manifest><spine>{spine}</spine>"
            "</package>",
            **{
                name: '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body>'
                f"{chapter}</body></html>"
                for name, chapter in zip(names, chapters, strict=True)
            },
        }
    )


def pdf(*pages: str, title: str = "", image: bool = False, encrypt: bool = False) -> bytes:
    """A PDF whose pages hold these lines; a page without any holds a picture if `image`."""
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (6 + 2 * at) for at in range(len(pages))), len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Title (%s) >>" % title.encode("latin-1"),
        b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray "
        b"/BitsPerComponent 8 /Length 1 >>\nstream\n\x80\nendstream",
    ]
    for at, page in enumerate(pages):
        lines = b"".join(
            b"(%s) Tj 0 -20 Td " % line.encode("latin-1") for line in page.split("\n") if line
        )
        drawn = b"BT /F1 12 Tf 72 700 Td " + lines + b"ET"
        if image and not page:
            drawn = b"q 500 0 0 700 50 50 cm /I1 Do Q"
        stream = zlib.compress(drawn)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources "
            b"<< /Font << /F1 3 0 R >> /XObject << /I1 5 0 R >> >> >>" % (7 + 2 * at)
        )
        objects.append(
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream)
        )
    return _pdf_file(objects, encrypt=encrypt)


def _pdf_file(objects: list[bytes], *, encrypt: bool) -> bytes:
    data = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    locked = (
        b" /Encrypt << /Filter /Standard /V 1 /R 2 /O (%s) /U (%s) /P -4 >> /ID [(a) (a)]"
        % (b"o" * 32, b"u" * 32)
        if encrypt
        else b""
    )
    return data + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R /Info 4 0 R%s >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table, len(objects) + 1, locked, len(data))
    )
