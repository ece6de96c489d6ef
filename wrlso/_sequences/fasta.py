"""Reading and writing FASTA."""

from collections.abc import Sequence

from wrlso.exceptions import DataError

__all__ = ["FASTA_ENDINGS", "format_fasta", "parse_fasta"]

FASTA_ENDINGS = (".fasta", ".fa", ".faa", ".fna", ".fas")
_WIDTH = 60  # letters in a line


def parse_fasta(text: str, name: str) -> list[tuple[int, str, str]]:
    """Return number of the line, name and sequence of every record.

    Raises DataError, with the file's name, for text before the first name and for a name without a sequence.
    """
    records: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(">"):
            records.append((number, line[1:].strip(), []))
        elif line.strip() and not line.startswith(";"):
            if not records:
                raise DataError(
                    f"{name} is no FASTA: expected a line with > and a name first, got {line!r:.60} in line "
                    f"{number}"
                )
            records[-1][2].append(line.strip())
    for number, title, lines in records:
        if not lines:
            raise DataError(
                f"{name} must hold a sequence below each name, got none below {title!r:.60} in line {number}"
            )
    if not records:
        raise DataError(f"{name} is empty; expected lines with > and a name, and sequences below them")
    return [(number, title, "".join(lines)) for number, title, lines in records]


def format_fasta(sequences: Sequence[str], names: Sequence[str]) -> str:
    """Return FASTA of sequences and their names."""
    parts = []
    for x, name in zip(sequences, names, strict=True):
        lines = [x[start : start + _WIDTH] for start in range(0, len(x), _WIDTH)]
        parts.append("\n".join([f">{name}", *lines]) + "\n")
    return "".join(parts)
