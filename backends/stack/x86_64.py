"""x86-64 in the validator's terms."""

from __future__ import annotations

from typing import Final

from kdash.backends.stack.architecture import Architecture
from kdash.backends.stack.decode import decode_image
from kdash.backends.stack.section_headers import EM_X86_64
from kdash.backends.stack.stack_ops import (
    find_frame_pointer_writes,
    find_stack_operations,
    operation_keys,
)
from kdash.backends.stack.x86_64_operations import parse_operation

ARCHITECTURE: Final = Architecture(
    EM_X86_64,
    decode_image,
    find_stack_operations,
    find_frame_pointer_writes,
    operation_keys,
    parse_operation,
)
