"""Names of people: which may be used, and when two of them mean one person.

Every rule that asks for a second person compares names here, and nowhere else. Names are compared after Unicode's
compatibility normalization (NFKC), case folding and collapsing of space. A name that only looks like another one is no
second person: the comparison refuses it, as Unicode Technical Standard 39 does, for letters that occur in names.
"""

import unicodedata
from functools import cache

from almanac.core.errors import PersonError

_LONGEST = 200
#: Letters of other scripts, and rare Latin ones, that look like a plain Latin letter; after case folding.
_LOOKALIKES = {
    "a": "аαɑᴀ",
    "b": "ƅьвʙ",
    "c": "сᴄ",
    "d": "ԁɗꓒᴅ",
    "e": "еєҽεᴇ",
    "f": "ƒϝꜰ",
    "g": "ɡցԍɢ",
    "h": "һհнʜ",
    "i": "іıιɩӏɪ",
    "j": "јϳᴊ",
    "k": "кκᴋ",
    "l": "ʟ1",
    "m": "мᴍ",
    "n": "ոпηɴ",
    "o": "оοօσᴏ0",
    "p": "рρᴘ",
    "q": "ԛզ",
    "r": "гᴦʀ",
    "s": "ѕꜱ",
    "t": "тτᴛ",
    "u": "υսцᴜ",
    "v": "ѵνᴠ",
    "w": "ѡԝωᴡ",
    "x": "хχ×",
    "y": "уγүʏ",
    "z": "ʐᴢ",
}
#: Characters that fonts leave blank although Unicode counts them as letters, marks or symbols.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
#: Scripts that Chinese, Japanese and Korean names mix in one word.
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"})
_PROTOTYPES = str.maketrans({other: letter for letter, others in _LOOKALIKES.items() for other in others})


def check_person(name: str) -> str:
    """Return a person's name without surrounding space.

    Raises:
        PersonError: empty or too long, a character that nobody sees, or a word of letters from several scripts.
    """
    trimmed = name.strip()
    if not trimmed or len(trimmed) > _LONGEST:
        raise PersonError(f"who is {trimmed[:40]!r}; expected a name of 1 to {_LONGEST} characters")
    for character in trimmed:
        if _invisible(character) or (character.isspace() and character != " "):
            raise PersonError(
                f"who is {trimmed!a}: holds the invisible character U+{ord(character):04X}; expected letters "
                "that people can see"
            )
    for word in _normalized(trimmed).split(" "):
        if len(scripts := sorted(_scripts(word))) > 1:
            raise PersonError(
                f"who is {trimmed!a}: mixes {' and '.join(scripts)} letters in one word; expected one alphabet"
            )
    return trimmed


def same_person(one: str, other: str) -> bool:
    """Return whether two names mean one person, without regard to case, space and forms of a letter.

    Raises:
        PersonError: two different names that look alike, of which nobody can say whether they are two people.
    """
    first, second = _normalized(one), _normalized(other)
    if first == second:
        return True
    if _skeleton(first) == _skeleton(second):
        raise PersonError(f"who: {one!a} looks like {other!a} and is another name; expected distinct names")
    return False


@cache
def _normalized(name: str) -> str:
    # Folding can undo the normalization, and the other way round; the second pass gives the fixed form.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


@cache
def _skeleton(normalized: str) -> str:
    # Characters that nobody sees may stand in names that were recorded before they were refused.
    visible = "".join(letter for letter in normalized if not _invisible(letter))
    # Spaces once more: one that was beside an invisible character may now begin the name.
    return " ".join(unicodedata.normalize("NFKC", visible.translate(_PROTOTYPES)).split())


def _invisible(character: str) -> bool:
    # Category C: control, format (zero-width and direction marks), private and unassigned characters.
    return unicodedata.category(character)[0] == "C" or character in _BLANK


def _scripts(word: str) -> set[str]:
    letters = [character for character in word if unicodedata.category(character)[0] == "L"]
    # The first word of a letter's Unicode name is its script; Python has no other table of scripts.
    scripts = {unicodedata.name(letter, "UNKNOWN").split()[0] for letter in letters} - {"MODIFIER"}
    return scripts - _EAST_ASIAN | ({"EAST ASIAN"} if scripts & _EAST_ASIAN else set())
