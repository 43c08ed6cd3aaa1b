"""Write the `.expected` files beside the `.source` files; read the diff before you keep it."""

from __future__ import annotations

import sys
from pathlib import Path

from indexer import parse
from indexer.records import KINDS, ROLES, SourceFile


def describe(language: str, content: bytes) -> str:
    """Return one line for each definition, then one for the names of each role, in order of place."""
    parsed = parse.parse(SourceFile(bytes(16), content, language, "utf-8", 0), deadline_s=30)
    symbols, references = parsed.symbols, parsed.references
    lines = []
    for i in range(len(symbols)):
        parent = symbols.parent[i]
        holder = f" in {symbols.name[parent].decode()}" if parent >= 0 else ""
        lines.append(f"{symbols.line[i]} {KINDS[symbols.kind[i]]} {symbols.name[i].decode()}{holder}")
    for number, role in enumerate(ROLES):
        names = [
            references.names[name].decode()
            for name, of in zip(references.name, references.role, strict=True)
            if of == number
        ]
        if names:
            lines.append(f"{role}: {' '.join(names)}")
    return "\n".join([*lines, *parsed.problems]) + "\n"


if __name__ == "__main__":
    folder = Path(__file__).parent
    wanted = sys.argv[1:] or sorted(path.stem for path in folder.glob("*.source"))
    for name in wanted:
        text = describe(name, (folder / f"{name}.source").read_bytes())
        (folder / f"{name}.expected").write_text(text, "utf-8")
