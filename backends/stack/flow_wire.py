"""Control flow as a line of JSON, for the pipe from a worker; standard library only."""

from __future__ import annotations

import json
from dataclasses import astuple

from kdash.backends.stack.facts import Flow, FlowBlock, FlowEdge, ObjectError
from kdash.backends.stack.wire import WireError, line_as_list, line_of_list


def encode_flow(flow: Flow) -> str:
    """A flow as one line of ASCII, without the newline."""
    blocks = [
        [one.label, [line_as_list(line) for line in one.lines], one.leaves] for one in flow.blocks
    ]
    edges = [astuple(edge) for edge in flow.edges]
    return json.dumps([flow.function, blocks, edges, flow.cut], separators=(",", ":"))


def encode_error(reason: str) -> str:
    """Why there is no flow."""
    return json.dumps({"error": reason})


def decode_flow(line: str) -> Flow:
    """The flow that a line holds.

    Raises:
        ObjectError: the worker says why there is none.
        WireError: the line is no flow.
    """
    try:
        data = json.loads(line)
        if isinstance(data, dict):
            raise ObjectError(str(data["error"]))
        function, blocks, edges, cut = data
        return Flow(
            function,
            tuple(
                FlowBlock(label, tuple(map(line_of_list, lines)), leaves)
                for label, lines, leaves in blocks
            ),
            tuple(FlowEdge(*edge) for edge in edges),
            cut,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise WireError(f"no control flow: {line[:80]!r}") from error
