from __future__ import annotations

import pytest

from kdash.backends.kvm.sizes import size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1 MiB"),
        (3 << 30, "3 GiB"),
        (900 << 30, "900 GiB"),
        (1 << 48, "256 TiB"),
        (5 << 70, "5,120 EiB"),
    ],
)
def test_bytes_are_told_in_their_largest_unit(count: int, text: str) -> None:
    assert size_text(count) == text
