"""A folder of images: a folder per class, or a metadata file that names them; each also below train, validation, test.

In the table the column `image` holds the path of each image within the folder. Only regular files in the folder itself
are read: linked folders are not followed, and a link that leads out is refused. What is left out is told.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

import pyarrow as pa

from finetooth.errors import DataError, nearest
from finetooth.findings import Finding
from finetooth.pictures import IMAGES
from finetooth.readers.columns import choose
from finetooth.readers.content import Content
from finetooth.readers.files import read_file
from finetooth.readers.folder import holds_rows, part_of
from finetooth.table import PARTS, Columns, Table

UNREAD = (".heic", ".heif", ".avif", ".jp2", ".svg", ".ico", ".psd")  # which make a folder one of images all the same
METADATA = ("metadata.csv", "metadata.jsonl")
JUNK = ("thumbs.db", "desktop.ini", "__macosx")  # that systems leave behind, besides hidden files
NAMED = 5  # files that a sentence names

Kind = Literal["file", "folder", "hidden", "unfollowed", "outward"]


@dataclass(frozen=True)
class _Tree:
    """What lies in a folder, by paths within it, sorted: `unfollowed` are linked folders, dead links, devices."""

    path: Path
    file: list[str]
    folder: list[str]
    hidden: list[str]
    unfollowed: list[str]
    outward: list[str]

    @property
    def images(self) -> list[str]:
        """The files with the ending of an image."""
        return [name for name in self.file if name.lower().endswith(IMAGES)]


@dataclass(frozen=True)
class _Rows:
    """The rows of an image folder: columns, where each stands for messages, the part of each, what is to be told."""

    data: pa.Table
    places: list[tuple[str, int]]
    parts: list[str | None]
    found: list[Finding]
    described: Path  # the file, or else the folder, that says what the columns are


def is_image_folder(path: Path) -> bool:
    """Whether it is a folder that holds images or a metadata file, and no files train.csv and the like."""
    if not path.is_dir() or _texts_in_parts(path):
        return False
    found = False
    for kind, name in _entries(path):
        # What lies at the top comes first: once it was seen, one image is enough.
        if found and "/" in name:
            break
        if kind in ("file", "outward"):
            known = name.lower().endswith((*IMAGES, *UNREAD))
            if not known and "/" not in name and part_of(name) and holds_rows(Path(name)):
                return False
            found = found or known or PurePosixPath(name).name in METADATA
    return found


def _texts_in_parts(path: Path) -> bool:
    """Whether a folder train or the like holds files of rows, pictures lying elsewhere or not."""
    parts = (entry for entry in path.iterdir() if part_of(entry.name) and entry.is_dir())
    return any(holds_rows(file) and file.name not in METADATA for part in parts for file in part.iterdir())


def read_images(
    path: Path,
    *,
    input: str | None,
    label: str | None,
    group: str | None,
    id: str | None,
    time: str | None,
    weights: str | None,
    labelled: bool,
) -> Table:
    """The images of a folder as a Table. Raises DataError, in one sentence, for what cannot be read."""
    if input not in (None, "image"):
        raise DataError(
            f"{path}: this folder holds images, so the input is the column 'image', not '{input}'; for texts, name a "
            f"file or a folder of files such as train.csv."
        )
    tree = _tree(path)
    metadata, outward = (
        [name for name in names if PurePosixPath(name).name in METADATA and name.count("/") < 2]
        for names in (tree.file, tree.outward)
    )
    _refuse_outward(tree, outward)
    parts = _parts(tree, metadata)
    metadata = [name for name in metadata if "/" not in name or name.partition("/")[0] in parts]
    rows = _listed(tree, metadata, parts) if metadata else _by_class(tree, parts, labelled)
    flags = {"label": label, "group": group, "id": id, "time": time, "weights": weights}
    columns: Columns = choose(str(rows.described), rows.data.column_names, input="image", **flags, labelled=labelled)
    return Table(
        data=rows.data,
        columns=columns,
        source=str(path),
        places=rows.places,
        parts=rows.parts,
        found=(*rows.found, *_left_aside(tree)),
        folder=path,
    )


def _entries(path: Path) -> Iterator[tuple[Kind, str]]:
    """Everything below a folder, by its path there, the top first; hidden and linked folders are not entered."""
    root, waiting = os.path.realpath(path), [""]
    while waiting:
        above = waiting.pop()
        try:
            with os.scandir(os.path.join(path, above)) as listed:
                entries = list(listed)
        except OSError as error:
            raise DataError(f"{path / above}: the folder cannot be opened: {error.strerror}.") from error
        for entry in entries:
            name = above + entry.name
            if entry.name.startswith(".") or entry.name.lower() in JUNK:
                yield "hidden", name
            elif entry.is_dir(follow_symlinks=False):
                yield "folder", name
                waiting.append(f"{name}/")
            elif not entry.is_symlink():
                yield ("file" if entry.is_file() else "unfollowed"), name
            elif not os.path.isfile(target := os.path.realpath(entry.path)):
                yield "unfollowed", name
            else:
                yield ("file" if os.path.commonpath([root, target]) == root else "outward"), name


def _tree(path: Path) -> _Tree:
    lists: dict[str, list[str]] = {kind: [] for kind in ("file", "folder", "hidden", "unfollowed", "outward")}
    for kind, name in _entries(path):
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(f"{path}: the name {name!a} in it is not UTF-8; rename it.") from error
        lists[kind].append(name)
    return _Tree(path, **{kind: sorted(names) for kind, names in lists.items()})


def _parts(tree: _Tree, metadata: Iterable[str]) -> Mapping[str, str]:
    """Which folders are parts of the data, by name; empty where they are classes."""
    tops = sorted({name.partition("/")[0] for name in (*tree.images, *metadata, *tree.outward) if "/" in name})
    parts = {top: part for top in tops if (part := part_of(top))}
    others = [top for top in tops if top not in parts]
    if not parts:
        return {}
    if others:
        # A class may be called train (beside car and bus): then its images lie in it directly, as the others' do.
        direct = {name.partition("/")[0] for name in tree.images if name.count("/") == 1}
        deep = [top for top in parts if top not in direct]
        if deep:
            raise DataError(
                f"{tree.path}: {deep[0]} looks like a part of the data, and {_first(others)} beside it like a class; "
                f"put every class folder below train (and validation and test), or rename {deep[0]}."
            )
        return {}
    for part in PARTS:
        names = [top for top in parts if parts[top] == part]
        if len(names) > 1:
            raise DataError(f"{tree.path}: {names[0]} and {names[1]} both claim to be the {part} part; put one away.")
    if "train" not in parts.values():
        raise DataError(
            f"{tree.path}: found {_first(tops)}, expected a folder train with them; to read one part alone, name its "
            f"own folder: {tree.path / tops[0]}."
        )
    return parts


def _by_class(tree: _Tree, parts: Mapping[str, str], labelled: bool) -> _Rows:
    """Each image has the class that its folder is called."""
    _refuse_outward(tree, [name for name in tree.outward if name.lower().endswith(IMAGES)])
    inner = {name: name.partition("/")[2] if parts else name for name in tree.images}
    if not inner:
        raise DataError(
            f"{tree.path}: it holds no image of a format that is read; found {_first(tree.file)}, expected files with "
            f"the endings {', '.join(IMAGES)}; convert them."
        )
    if "" in inner.values():
        stray = next(name for name in inner if not inner[name])
        raise DataError(
            f"{tree.path / stray}: it lies beside the folders {_first(list(parts))}, so in no part of the data; move "
            f"it into one of them."
        )
    order = sorted(inner, key=lambda name: (PARTS.index(parts[name.partition("/")[0]]) if parts else 0, name))
    classes = [inner[name].partition("/")[0] if "/" in inner[name] else None for name in order]
    if labelled and not any(classes):
        raise DataError(
            f"{tree.path}: its {len(order):,} images lie in no folder of a class, so they have no label; put those of "
            f"each class into a folder with its name, or add a metadata.csv with the columns file_name and label."
        )
    data = pa.table({"image": pa.array(order, pa.string())})
    if any(classes):
        data = data.append_column("label", pa.array(classes, pa.string()))
    found = []
    loose = [name for name, kind in zip(order, classes, strict=True) if kind is None]
    if loose and any(classes):
        says = f"In no folder of a class, so without a label: {_counted(loose, 'image')}."
        found.append(Finding("loose image", "warning", says, "Move them into class folders.", len(loose)))
    found += _class_folders(tree, parts, {name for name in classes if name})
    found += _unknown_endings([name for name in tree.file if not name.lower().endswith(IMAGES)])
    return _Rows(
        data=data,
        places=[(name, 0) for name in order],
        parts=[parts[name.partition("/")[0]] if parts else None for name in order],
        found=found,
        described=tree.path,
    )


def _class_folders(tree: _Tree, parts: Mapping[str, str], classes: set[str]) -> Iterator[Finding]:
    """Folders without an image, and names of classes that are one name to most people."""
    levels = 2 if parts else 1
    used = {"/".join(name.split("/")[:level]) for name in tree.images for level in range(1, levels + 1)}
    empty = [name for name in tree.folder if name.count("/") < levels and name not in used]
    if empty:
        says = f"No image in {_counted(empty, 'folder')}."
        remedy = "Fill them, or take them away if there is no such class or part."
        yield Finding("empty folder", "warning", says, remedy, len(empty))
    spelt = Counter(_spelling(name) for name in classes)
    alike = sorted((name for name in classes if spelt[_spelling(name)] > 1), key=lambda name: (_spelling(name), name))
    if alike:
        says = f"Class folders that differ in case or spaces alone count as different classes: {_first(alike)}."
        yield Finding("class spelling", "warning", says, "Put their images into one folder.", len(alike))


def _listed(tree: _Tree, metadata: list[str], parts: Mapping[str, str]) -> _Rows:
    """The images that metadata files name in their column file_name, with the other columns."""
    where = {name: name.rpartition("/")[0] for name in metadata}
    doubled = next((name for name in metadata if list(where.values()).count(where[name]) > 1), None)
    if doubled or ("" in where.values() and len(metadata) > 1):
        raise DataError(f"{tree.path}: {metadata[0]} and {metadata[1]} both describe its images; keep one of them.")
    bare = [top for top in parts if "" not in where.values() and top not in where.values()]
    if bare:
        raise DataError(
            f"{tree.path / bare[0]}: there is no metadata.csv in it, as {metadata[0]} is in its folder; each part "
            f"needs one, or one in {tree.path} names the images of all."
        )
    metadata = sorted(metadata, key=lambda name: PARTS.index(parts[where[name]]) if where[name] else 0)
    contents = {name: _content(tree.path / name, name) for name in metadata}
    tables = {name: content.data for name, content in contents.items()}
    first = tables[metadata[0]].column_names
    for name, table in tables.items():
        if set(table.column_names) != set(first):
            raise DataError(
                f"{tree.path / name}: its columns are {', '.join(table.column_names)}, but {metadata[0]} has "
                f"{', '.join(first)}; the parts of one data set need the same columns."
            )
    images = [image for name, table in tables.items() for image in _images(tree, name, where[name], table)]
    places = [(name, row + 1) for name, table in tables.items() for row in range(table.num_rows)]
    assigned = [parts.get(image.partition("/")[0]) for image in images]
    if parts and None in assigned:
        at = assigned.index(None)
        raise DataError(
            f"{tree.path / places[at][0]}, row {places[at][1]}: '{images[at]}' lies in none of the folders "
            f"{_first(list(parts))}, so in no part of the data; move it into one of them."
        )
    data = pa.concat_tables([table.select(first) for table in tables.values()])
    others = {name: data.column(name) for name in first if name != "file_name"}
    known = {*images, *metadata}
    unlisted = [name for name in tree.images if name not in known]
    found = [finding for content in contents.values() for finding in content.found]
    if unlisted:
        says = f"Left out, since {metadata[0]} does not name them: {_counted(unlisted, 'image')}."
        found.append(Finding("unlisted image", "warning", says, "Add a row for each that is wanted.", len(unlisted)))
    found += _unknown_endings([n for n in tree.file if n not in known and not n.lower().endswith(IMAGES)])
    return _Rows(
        data=pa.table({"image": pa.array(images, pa.string()), **others}),
        places=places,
        parts=assigned,
        found=found,
        described=tree.path / metadata[0],
    )


def _content(path: Path, name: str) -> Content:
    content = read_file(path, name)
    names = content.data.column_names
    if "file_name" not in names:
        hint = nearest("file_name", names)
        raise DataError(f"{path}: there is no column 'file_name', which names the image of each row; {hint}")
    if "image" in names:
        raise DataError(f"{path}: the column 'image' is kept for the images that file_name names; rename it.")
    return content


def _images(tree: _Tree, metadata: str, folder: str, table: pa.Table) -> list[str]:
    """The path within the tree of each image that is named; raises DataError for the first that is not there."""
    base = tree.path / folder
    # macOS writes é as e and an accent, where others have one letter.
    files = {unicodedata.normalize("NFC", name): name for name in tree.file}
    images, missing = [], []
    for row, cell in enumerate(table.column("file_name").to_pylist(), start=1):
        place = f"{tree.path / metadata}, row {row}"
        if not cell:
            raise DataError(f"{place}: the file_name is empty; name the row's image, or take the row out.")
        given = PurePath(cell)
        if given.anchor or ".." in given.parts:
            raise DataError(f"{place}: {cell!r} leads out of the folder; give the path within {base}.")
        image = PurePosixPath(folder, given.as_posix()).as_posix()
        there = files.get(unicodedata.normalize("NFC", image))
        images.append(there or image)
        if there is None:
            _refuse_outward(tree, [image] if image in tree.outward else [])
            missing.append((place, cell, image))
    if missing:
        place, cell, image = missing[0]
        behind = next((link for link in tree.unfollowed if f"{image}/".startswith(f"{link}/")), None)
        hint = nearest(cell, [name.removeprefix(f"{folder}/") for name in tree.images[:1000]])
        what = f"{cell!r} lies behind a link that is not followed" if behind else f"there is no file {cell!r} in {base}"
        more = f" (and {len(missing) - 1:,} further rows name such)" if len(missing) > 1 else ""
        remedy = hint if hint.startswith("did you") else "put it there, or take the row out."
        raise DataError(f"{place}: {what}{more}; {remedy}")
    return images


def _refuse_outward(tree: _Tree, names: list[str]) -> None:
    if names:
        raise DataError(
            f"{tree.path / names[0]}: the link leads out of the folder {tree.path}; put a copy of the file there."
        )


def _left_aside(tree: _Tree) -> Iterator[Finding]:
    """What is never read: hidden files and what systems leave behind, and what is no file of this folder."""
    if tree.hidden:
        says = f"Passed over: {_counted(tree.hidden, 'hidden file or folder', 'hidden files and folders')}."
        yield Finding("hidden file", "info", says, "Nothing is to be done.", len(tree.hidden))
    if tree.unfollowed:
        says = f"Left out: {_counted(tree.unfollowed, 'link', 'links')} to folders or to nothing, or devices."
        remedy = "Put the files themselves there if they are wanted."
        yield Finding("link", "warning", says, remedy, len(tree.unfollowed))
    if tree.outward:  # those that were named or are needed for a class were refused
        says = f"Left out: {_counted(tree.outward, 'link')} that lead out of the folder."
        yield Finding("link", "warning", says, "Put copies of the files there if they are wanted.", len(tree.outward))


def _unknown_endings(names: list[str]) -> list[Finding]:
    if not names:
        return []
    says = f"Left out, since the ending is not that of an image: {_counted(names, 'file')}."
    remedy = f"Convert them if they are images; known are {', '.join(IMAGES)}."
    return [Finding("unknown ending", "warning", says, remedy, len(names))]


def _spelling(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _counted(names: list[str], one: str, many: str | None = None) -> str:
    return f"{len(names):,} {one if len(names) == 1 else many or one + 's'} ({_first(names)})"


def _first(names: list[str]) -> str:
    shown = ", ".join(repr(name)[1:-1] for name in names[:NAMED]) or "nothing"
    return shown + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
