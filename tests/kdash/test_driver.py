"""The driver's output when its terminal goes away."""

import io
import os
from contextlib import suppress

from kdash.driver import LastingOutput


class GoneError(OSError):
    pass


class Terminal(io.StringIO):
    gone = False

    def write(self, text: str) -> int:
        if self.gone:
            raise GoneError(5, "Input/output error")
        return super().write(text)


def test_what_is_written_reaches_the_terminal() -> None:
    terminal = Terminal()
    output = LastingOutput(terminal)
    assert output.write("text") == 4
    output.flush()
    assert terminal.getvalue() == "text"


def test_writes_to_a_terminal_that_is_gone_are_forgotten() -> None:
    terminal = Terminal()
    output = LastingOutput(terminal)
    terminal.gone = True
    assert output.write("text") == 4
    terminal.gone = False
    assert output.write("more") == 4  # once gone it stays gone
    assert terminal.getvalue() == ""
    assert output.gone


def test_a_flush_to_a_closed_pipe_is_forgotten() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    output = LastingOutput(stream)
    output.write("text")
    output.flush()
    assert output.gone
    with suppress(OSError):
        stream.close()
