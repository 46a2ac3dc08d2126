"""The target description."""

from __future__ import annotations

from xml.etree import ElementTree

from kdash.backends.kvm.gdb_target_xml import NUMBERS, REGISTERS, target_xml


def test_the_description_lists_the_registers_in_the_order_of_the_g_packet() -> None:
    root = ElementTree.fromstring(target_xml())
    listed = [(int(reg.attrib["regnum"]), reg.attrib["name"]) for reg in root.iter("reg")]
    assert listed == [(number, register.name) for number, register in enumerate(REGISTERS)]
    sizes = [int(reg.attrib["bitsize"]) for reg in root.iter("reg")]
    assert sizes == [8 * register.size for register in REGISTERS]


def test_it_is_x86_64_with_the_features_gdb_asks_for() -> None:
    root = ElementTree.fromstring(target_xml())
    assert root.findtext("architecture") == "i386:x86-64"
    features = [feature.attrib["name"] for feature in root.iter("feature")]
    assert features[:3] == [
        "org.gnu.gdb.i386.core",
        "org.gnu.gdb.i386.sse",
        "org.gnu.gdb.i386.segments",
    ]


def test_the_core_registers_have_gdbs_numbers() -> None:
    assert [NUMBERS[name] for name in ("rax", "rsp", "rip", "eflags", "cs", "st0", "fop")] == [
        0, 7, 16, 17, 18, 24, 39,
    ]  # fmt: skip
    assert [NUMBERS[name] for name in ("xmm0", "mxcsr", "fs_base", "gs_base")] == [40, 56, 57, 58]
