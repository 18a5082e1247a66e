"""What writes on a terminal, with nothing in it that acts but the styles of rich itself."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from zoo.base.printable import shown


class SafeConsole(Console):
    """A console that shows the text of tables, lines and bars as `zoo.base.printable.shown` gives it."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, which adds colours to the segments later; its own moves of the cursor are `control`s."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(shown(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        """Leave it to the end of the command, with its exit code, instead of ending the program here."""
        raise  # called where the BrokenPipeError is caught
