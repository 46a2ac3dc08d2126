"""Which kind of results a file holds, told by its beginning; standard library only."""

from __future__ import annotations

import json
import re
from typing import BinaryIO, Final

HEAD: Final = 1 << 13  # bytes that tell what a file is
_FAR: Final = 1 << 22  # bytes of a text in which a build log's first warning is looked for
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: What no text holds: control characters but those of terminals' colours and of lines.
_NO_TEXT: Final = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f]")
#: Lines of a kernel build (scripts/Kbuild.include, "quiet_cmd"), of make, and of the tools.
_BUILD: Final = re.compile(
    rb"\b(?:objtool|stacktool): "
    rb"|^\s*(?:CC|LD|AS|AR|GEN|HOSTCC|MODPOST|OBJTOOL) +(?:\[M\] +)?[\w./-]"
    rb"|^make(?:\[\d+\])?: ",
    re.MULTILINE,
)
_LOG_NAMES: Final = (".log", ".sarif")
_COMPRESSED: Final = tuple(f"{name}{end}" for name in _LOG_NAMES for end in (".gz", ".xz", ".zst"))


def kind_of_results(head: bytes) -> str:
    """What a file is by its first bytes: "sarif", "results", "baseline", else "log"."""
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if not start.startswith(b"{"):
        return "log"
    try:
        first = json.loads(start.partition(b"\n")[0])
    except (ValueError, RecursionError):
        first = None
    if isinstance(first, dict):
        if "kdash" in first:
            return "baseline"
        if "runs" not in first and {"file", "summary"} & set(first):
            return "results"
    # An object over several lines; of one in a single line, more than the head may be needed.
    return "results" if start.startswith(b'{"file":') else "sarif"


def holds_results(name: str, file: BinaryIO) -> bool:
    """Whether an open file is results or a build log, and no guest and no object.

    Args:
        name: of the file; a text called *.log or *.sarif is taken at its word, and so is a
            compressed file called *.log.gz and the like.
        file: read from its start, at most 4 MiB of it.
    """
    head = file.read(HEAD)
    if name.endswith(_COMPRESSED):
        return True
    if not head or not _is_text(head):
        return False
    if name.endswith(_LOG_NAMES) or kind_of_results(head) != "log":
        return True
    return bool(_BUILD.search(head) or _BUILD.search(file.read(_FAR)))


def _is_text(head: bytes) -> bool:
    """Whether it is text; a log quotes file names and symbols, in whatever encoding they are."""
    if _NO_TEXT.search(head):
        return False
    if sum(byte > 0x7F for byte in head) * 10 < len(head):
        return True
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # a character that the head cuts
    return True
