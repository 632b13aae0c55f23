"""The XML parts of a zipped office file, parsed without entities or network."""

import posixpath
import zipfile
from io import BytesIO
from typing import Any

from retriever.errors import LoadingError
from retriever.loading import zipped
from retriever.loading.content import FileBytes, LoadingOptions

_RELATION = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


class Parts:
    """A zipped office file, its directory checked against decompression bombs."""

    def __init__(self, file: FileBytes, options: LoadingOptions) -> None:
        directory = zipped.read_directory(file.data)
        zipped.check_unpacked_size(directory, len(file.data), options.max_unpacked_mb)
        self._archive = zipfile.ZipFile(BytesIO(file.data))
        self.names = frozenset(directory.names)

    def tree(self, name: str) -> Any:
        """The root element of a part.

        Raises:
            LoadingError: there is no such part, or it is damaged.
        """
        from lxml import etree

        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip
        try:
            return etree.fromstring(self._archive.read(name), parser)
        except (etree.XMLSyntaxError, KeyError, ValueError, *zipped.DAMAGE) as error:
            raise LoadingError(f"damaged file: {name} cannot be read") from error

    def relations(self, name: str) -> dict[str, tuple[str, str]]:
        """What a part of an Office Open XML file refers to: id -> (kind, part name).

        Parts outside of the file are left out; they are never followed.
        """
        folder, base = posixpath.split(name)
        place = posixpath.join(folder, "_rels", f"{base}.rels")
        if place not in self.names:
            return {}
        return {
            each.get("Id", ""): (
                each.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join(folder, each.get("Target", ""))).lstrip("/"),
            )
            for each in self.tree(place).iter(_RELATION)
            if each.get("TargetMode") != "External"
        }
