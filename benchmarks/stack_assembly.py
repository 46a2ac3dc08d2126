"""The kernel's own assembly, with and without frame pointers, judged by both tools."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from measurement import Aim, Measurement
from stack_packages import Packages
from stack_peer import Said, peer_says, same, silent_for_a_reason, we_say

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions

#: Code that is not part of the 64-bit kernel.
_ELSEWHERE = ("boot", "realmode", "purgatory", "um", "tools", "include", "vdso")
#: Files that the kernel's own build does not check.
_UNCHECKED = re.compile(r"^OBJECT_FILES_NON_STANDARD_(\S+)\.o\s*:?=\s*y", re.MULTILINE)
AIM = 0.99


@dataclass
class Agreement:
    """What both tools say of a number of files."""

    files: int = 0
    functions: int = 0  # functions that objtool flags
    both: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    added: Counter[str] = field(default_factory=Counter)

    def compare(self, file: str, peer: set[Said], ours: set[Said]) -> None:
        """Count one file."""
        self.files += 1
        for one in peer:
            self.functions += 1
            if any(same(one, other) for other in ours):
                self.both += 1
            else:
                also = ", ".join(sorted(o.kind for o in ours if o.where == one.where)) or "nothing"
                self.missed[f"{file} {one.where}: {one.kind}; kdash: {also}"] += 1
        flagged = {one.where for one in peer}
        for one in ours:
            # objtool stops a function at its first finding; kdash tells all.
            if (
                one.where not in flagged
                and not any(same(one, other) for other in peer)
                and (not silent_for_a_reason(one, peer))
            ):
                self.added[f"{file} {one.where}: {one.kind}"] += 1

    def rate(self) -> float:
        """Share of what either says that both say."""
        total = self.functions + sum(self.added.values())
        return self.both / total if total else 1.0


def command_line(packages: Packages, source: Path, target: Path, frame_pointer: bool) -> list[str]:
    """The command that assembles one file as the kernel's build does."""
    own, common = packages.headers
    folders = [
        *(common / "arch/x86/include", own / "arch/x86/include/generated", common / "include"),
        *(own / "include", common / "arch/x86/include/uapi"),
        *(own / "arch/x86/include/generated/uapi", common / "include/uapi"),
        *(own / "include/generated/uapi", packages.source, source.parent),
        packages.source / "arch/x86/include",
    ]
    command = ["gcc", "-nostdinc", *(f"-I{folder}" for folder in folders)]
    command += ["-include", str(own / "include/generated/autoconf.h")]
    command += ["-include", str(common / "include/linux/kconfig.h"), "-D__KERNEL__"]
    command += ["-D__ASSEMBLY__", "-DCC_USING_FENTRY", "-fno-PIE", "-m64", "-w"]
    if frame_pointer:
        command.append("-DCONFIG_FRAME_POINTER=1")
    return [*command, "-c", str(source), "-o", str(target)]


def sources(packages: Packages) -> list[Path]:
    """The assembly files of the 64-bit kernel, sorted."""
    base = packages.source / "arch/x86"
    return sorted(
        path
        for path in base.rglob("*.S")
        if not path.name.endswith((".lds.S", "_32.S"))
        and not is_unchecked(path)
        and not any(part in _ELSEWHERE for part in path.relative_to(base).parts)
    )


def is_unchecked(path: Path) -> bool:
    """Whether the Makefile beside a file says that objtool leaves it out."""
    makefile = path.parent / "Makefile"
    text = makefile.read_text() if makefile.exists() else ""
    named = [name.replace("$(BITS)", "64") for name in _UNCHECKED.findall(text)]
    return path.stem in named


def compared(packages: Packages, frame_pointer: bool) -> Agreement:
    """Assemble everything in one way, and let both tools check it."""
    result = Agreement()
    checker = Checker(CheckOptions("on"))
    with tempfile.TemporaryDirectory() as folder:
        target, copy = Path(folder) / "unit.o", Path(folder) / "copy.o"
        for source in sources(packages):
            command = command_line(packages, source, target, frame_pointer)
            target.unlink(missing_ok=True)
            made = subprocess.run(command, capture_output=True, check=False, cwd=packages.source)
            if made.returncode or target.read_bytes()[:4] != b"\x7fELF":
                continue
            peer = peer_says(packages.objtool, target.read_bytes(), copy, "--stackval", "--orc")
            name = str(source.relative_to(packages.source))
            result.compare(name, peer, we_say(checker, target))
    return result


def measure(packages: Packages, most: int = 0) -> Iterator[Measurement]:
    """The agreement by function and kind; every difference is printed."""
    print("assembled by: " + " ".join(
        word.replace(str(packages.root), "$CACHE")
        for word in command_line(packages, Path("FILE.S"), Path("FILE.o"), False)
    ))  # fmt: skip
    for frame_pointer in (True, False):
        found = compared(packages, frame_pointer)
        how = "with" if frame_pointer else "without"
        print(
            f"assembly {how} frame pointers: {found.files} files, objtool flags {found.functions}"
            f" (function, kind), {found.both} by both, {sum(found.added.values())} by kdash alone"
        )
        yield Measurement(
            f"the kernel's assembly {how} frame pointers: same functions and kinds as objtool",
            (100 * found.rate(),), "%", aim=Aim(100 * AIM, least=True),
        )  # fmt: skip
        for text, counts in (("only objtool", found.missed), ("only kdash", found.added)):
            for place, count in counts.most_common(40):
                print(f"  {text}: {place}{f' ({count})' if count > 1 else ''}")
