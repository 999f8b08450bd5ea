"""Read what shoppers type: full-width digits, hyphens of every kind, hiragana; pure, imports no Django.

Each function gives the plain form, or raises Unreadable with a short code; the form has the words.
"""

from __future__ import annotations

import re
import unicodedata

#: Hyphens, dashes, the long vowel mark and the wave: all are typed between the digits of a postal code.
_BETWEEN_DIGITS = re.compile(r"[\s\-‐‑‒–—―−ーｰ~〜()（）.・]+")
_KANA = re.compile(r"[ァ-ヺーヽヾ・A-Za-zÀ-ɏ'’.\- ]+")
#: Pictures that no delivery slip's printer knows: the emoji planes, the "as a picture" mark, the keycap mark.
_PICTURES = re.compile("[\U0001f000-\U0001faff\ufe0f\u20e3]")


class Unreadable(Exception):
    """What was typed cannot be read as what was asked for; ``code`` says why, ``what`` names the culprit."""

    def __init__(self, code: str, what: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.what = what


def one_line(typed: str) -> str:
    """Read a line of text that will be printed on a slip: spaces tidied, nothing invisible, no pictures."""
    text = unicodedata.normalize("NFC", typed).strip(" \t　")
    for character in text:
        if character in "\r\n\x0b\x0c\x85\u2028\u2029":
            raise Unreadable("line_break")
        # Control, format (direction overrides, zero-width signs), surrogate, private use, not assigned.
        if character != "\t" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn"):
            raise Unreadable("invisible")
        if character == "\ufffd":
            raise Unreadable("invisible")
    pictures = _PICTURES.findall(text)
    if pictures:
        raise Unreadable("picture", "".join(dict.fromkeys(p for p in pictures if p.isprintable() and p > "\uffff")))
    return re.sub(r"[ \t]+", " ", re.sub(r"[ \t]*　[ \t　]*", "　", text))


def postal_code(typed: str) -> str:
    """Read a Japanese postal code into seven digits: 〒０６０−０００１ becomes 0600001."""
    text = _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", typed[:100]).replace("〒", ""))
    if not re.fullmatch(r"[0-9]{7}", text):
        raise Unreadable("postal_code")
    return text


def phone(typed: str) -> str:
    """Read a Japanese phone number into ten or eleven digits from 0: +81 90-… becomes 090…."""
    text = _BETWEEN_DIGITS.sub("", unicodedata.normalize("NFKC", typed[:100]))
    text = re.sub(r"^\+810?", "0", text)
    if not re.fullmatch(r"0[0-9]{9,10}", text):
        raise Unreadable("phone")
    return text


def kana(typed: str) -> str:
    """Read a name's reading into full-width katakana; letters stay, for names that have no kana."""
    text = one_line(unicodedata.normalize("NFKC", one_line(typed)))
    text = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" or c in "ゝゞ" else c for c in text)
    if text and not _KANA.fullmatch(text):
        raise Unreadable("kana")
    return text


def mail(typed: str) -> str:
    """Read a mail address: full-width letters become plain ones, and a line break is refused."""
    return unicodedata.normalize("NFKC", one_line(typed))
