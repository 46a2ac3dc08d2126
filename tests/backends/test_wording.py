"""Numbers in words."""

from kdash.backends.wording import counted


def test_one_is_told_in_the_singular_and_long_numbers_in_groups() -> None:
    assert [counted(number, "byte") for number in (0, 1, 4096)] == [
        "0 bytes", "1 byte", "4,096 bytes",
    ]  # fmt: skip
