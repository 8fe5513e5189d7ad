"""Draw the rooms and their imports as `docs/architecture.svg`: `python docs/architecture.py [--check]`.

Rooms stand from the top of the house to its ground floor, and an arc leads from a room to each one that it imports. The
picture has no counts, so that it changes when two rooms become dependent and not with every line of code.
"""

import ast
import sys
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PICTURE = Path(__file__).with_suffix(".svg")

APPLICATIONS = ("components", "operations", "orchestration", "serving", "monitoring", "governance")
FLOORS = ("evaluation", "training", "model", "drift", "features", "data", "native", "reports", "usecase", "core")
ROOMS = (*APPLICATIONS, *(f"almanac.{floor}" for floor in FLOORS))

ROW, TOP, BOX, LEFT = 46, 30, 520, 20
COLORS = {"components": "#2a6f97", "almanac": "#2f7d4f"}


def imports() -> dict[str, list[str]]:
    """Return the rooms that each room imports, in the order of the house."""
    graph = grimp.build_graph("almanac", *APPLICATIONS)
    edges: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module in graph.modules:
        importer = room_of(module)
        for imported in graph.find_modules_directly_imported_by(module):
            target = room_of(imported)
            if importer and target and importer != target:
                edges[importer].add(target)
    return {room: [other for other in ROOMS if other in edges[room]] for room in ROOMS}


def room_of(module: str) -> str | None:
    """Return the room that a module lies in; None for the library's own `__init__`."""
    return next((room for room in ROOMS if module == room or module.startswith(f"{room}.")), None)


def purpose(room: str) -> str:
    """Return the first line of a room's docstring, without its full stop."""
    text = (ROOT / room.replace(".", "/") / "__init__.py").read_text()
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0].rstrip(".")


def draw(edges: dict[str, list[str]]) -> str:
    """Return the picture as SVG; the same imports give the same bytes."""
    height = TOP + ROW * len(ROOMS) + 20
    width = LEFT + BOX + 330
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Rooms of the project from top to ground floor, with an arc to each room that a room imports" '
        'font-family="system-ui, sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    library = TOP + ROW * len(APPLICATIONS)
    parts.append(
        f'<rect x="{LEFT - 10}" y="{library - 4}" width="{BOX + 20}" height="{ROW * len(FLOORS) + 4}" rx="8" '
        'fill="#f1f7f3" stroke="#2f7d4f" stroke-opacity=".35"/>'
    )
    parts += [_arc(room, other) for room in ROOMS for other in edges[room]]
    parts += [_box(room) for room in ROOMS]
    return "\n".join([*parts, "</svg>", ""])


def _middle(room: str) -> int:
    return TOP + ROW * ROOMS.index(room) + ROW // 2 - 4


def _color(room: str) -> str:
    return COLORS.get(room.split(".")[0], "#8a5a12")


def _arc(room: str, other: str) -> str:
    start, end, x = _middle(room), _middle(other), LEFT + BOX
    reach = 24 + 17 * abs(ROOMS.index(other) - ROOMS.index(room))
    # An arc between neighbours on one floor may point up; every other one points down.
    return (
        f'<path d="M {x} {start} C {x + reach} {start}, {x + reach} {end}, {x + 6} {end}" fill="none" '
        f'stroke="{_color(room)}" stroke-opacity=".45"/>'
        f'<path d="M {x + 1} {end} l 7 -3.5 v 7 z" fill="{_color(room)}" fill-opacity=".7"/>'
    )


def _box(room: str) -> str:
    y = _middle(room) - 17
    return (
        f'<rect x="{LEFT}" y="{y}" width="{BOX}" height="34" rx="5" fill="#ffffff" stroke="{_color(room)}"/>'
        f'<text x="{LEFT + 12}" y="{y + 22}" font-size="14" font-weight="600">{room.removeprefix("almanac.")}</text>'
        f'<text x="{LEFT + 130}" y="{y + 22}" font-size="11.5" fill="#444444">{escape(_short(purpose(room)))}</text>'
    )


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rsplit(' ', 1)[0]} …"


def main() -> int:
    """Write the picture, or with --check fail where it is not that of the code; return the exit code."""
    sys.path.insert(0, str(ROOT))
    picture = draw(imports())
    if "--check" in sys.argv[1:]:
        if PICTURE.read_text() == picture:
            return 0
        sys.stderr.write(f"error: {PICTURE.name} is stale; run python docs/architecture.py\n")
        return 1
    PICTURE.write_text(picture)
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
