"""How the story is told in a terminal: who asks what, and what came back."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Teller:
    """Writes to a terminal, or plainly where there is none."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._steps = 0

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self.plain(f"\n{title}", style="bold blue")

    def step(self, sentence: str) -> None:
        """Say what happens next."""
        self._steps += 1
        self._console.print()
        self._beside(f"{self._steps:>2}  ", Text(sentence, style="bold"))

    def good(self, sentence: str, aside: str = "") -> None:
        """Say what held."""
        self._beside("    [green]✓[/green] ", _with(sentence, aside))

    def refused(self, sentence: str, aside: str = "") -> None:
        """Say what was refused, as it should be."""
        self._beside("    [yellow]✗[/yellow] ", _with(sentence, aside))

    def bad(self, sentence: str) -> None:
        """Say what should not have happened."""
        self._beside("    [bold red]✗[/bold red] ", Text(sentence))

    def more(self, sentence: str) -> None:
        """Add a detail to what was said before."""
        self._beside("      ", Text(sentence))

    def table(self, *rows: tuple[str, ...]) -> None:
        """Show rows under their head."""
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name in rows[0]:
            table.add_column(name, overflow="fold")
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        self.beside(table)

    def beside(self, table: Table) -> None:
        """Show a table beside the margin."""
        grid = Table.grid()
        grid.add_row("      ", table)
        self._console.print(grid)

    def plain(self, line: str, style: str = "") -> None:
        """Say one line, exactly."""
        self._console.print(Text(line, style=style), soft_wrap=True)

    @contextmanager
    def waiting(self, sentence: str) -> Iterator[None]:
        """Show that something takes a while."""
        with self._console.status(Text(sentence, style="dim")):
            yield

    def _beside(self, margin: str, text: Text) -> None:
        """Write text that wraps beside a margin and not under it."""
        first = Text.from_markup(margin)
        rest = Text(" " * first.cell_len)
        room = max(20, self._console.width - first.cell_len)
        for number, line in enumerate(text.wrap(self._console, room)):
            self._console.print((rest if number else first) + line)


def _with(sentence: str, aside: str) -> Text:
    return Text.assemble(sentence, (f" · {aside}" if aside else "", "dim"))
