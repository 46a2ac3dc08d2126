import hashlib
import struct

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.sha1 import BLOCK_BYTES, INITIAL_STATE, sha_transform


def padded(message: bytes) -> bytes:
    """The padding of FIPS 180-4, 5.1.1, which the compression function leaves to its caller."""
    zeros = (55 - len(message)) % BLOCK_BYTES
    return message + b"\x80" + bytes(zeros) + struct.pack(">Q", len(message) * 8)


@given(st.binary(max_size=300))
def test_compressing_a_padded_message_gives_its_sha1(message: bytes) -> None:
    state = INITIAL_STATE
    for block in struct.iter_unpack(">16I", padded(message)):
        state = sha_transform(state, block)
    assert struct.pack(">5I", *state) == hashlib.sha1(message).digest()
