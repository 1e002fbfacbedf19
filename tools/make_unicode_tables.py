#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_tables.inc: what the installed `tokenizers` library takes for a letter, a space, a
composed character and so on. Everything is found by asking the library about every code point, because its parts
(Oniguruma, Rust's regex crate, Rust's char, unicode-normalization-alignments) each follow a Unicode version of
their own, and none of them is the system's.

usage: tools/make_unicode_tables.py [--check]    (--check: compare with the file instead of writing it)
"""
import argparse
import pathlib
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

TARGET = pathlib.Path(__file__).resolve().parent.parent / "src/tokenizer/unicode_tables.inc"
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
CATEGORIES = "Cc Cf Co Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
SCRIPTS = "Arabic Cyrillic Devanagari Greek Han Hangul Hebrew Hiragana Katakana Latin Thai".split()
HANGUL = range(0xAC00, 0xAC00 + 11172)  # these decompose by arithmetic
CHUNK = 4096


def chunks():
    for start in range(0, len(CODE_POINTS), CHUNK):
        yield CODE_POINTS[start : start + CHUNK]


def kept_by(pre_tokenizer):
    """Code points that a removing pre-tokenizer leaves in the text."""
    kept = set()
    for chunk in chunks():
        for _, (start, end) in pre_tokenizer.pre_tokenize_str("".join(map(chr, chunk))):
            kept.update(chunk[start:end])
    return kept


def matching(pattern):
    """Code points that the library's regex engine matches."""
    return set(CODE_POINTS) - kept_by(pre_tokenizers.Split(Regex(pattern), "removed"))


def added_token_probe(before, **flags):
    """Encodes before(c) for every c with one added token "zz"; returns the library's encodings."""
    tokenizer = Tokenizer(models.BPE({"z": 0}, []))
    tokenizer.add_tokens([AddedToken("zz", normalized=False, **flags)])
    for chunk in chunks():
        yield from zip(chunk, tokenizer.encode_batch([before(chr(c)) for c in chunk], add_special_tokens=False))


def normalized(normalizer):
    """{code point: what it becomes} where it changes."""
    changed = {}
    for c in CODE_POINTS:
        text = normalizer.normalize_str(chr(c))
        if text != chr(c):
            changed[c] = [ord(x) for x in text]
    return changed


def combining_classes(nfd):
    """Canonical combining classes, found by which neighbours NFD exchanges."""
    lowest, highest = "\u0334", "\u0345"  # of the classes 1 and 240

    def exchanged(first, second):
        return first != second and nfd.normalize_str(first + second) == second + first

    by_class = {}  # one mark that the library knows for each class that Python knows
    for x in map(chr, CODE_POINTS):
        if unicodedata.combining(x) and (exchanged(highest, x) or exchanged(x, lowest)):
            by_class.setdefault(unicodedata.combining(x), x)

    classes = {}
    for c in CODE_POINTS:
        x = chr(c)
        if len(nfd.normalize_str(x)) > 1 or not (exchanged(highest, x) or exchanged(x, lowest)):
            continue
        equal = [k for k, mark in by_class.items() if not exchanged(mark, x) and not exchanged(x, mark)]
        assert len(equal) == 1, (hex(c), equal)
        classes[c] = equal[0]
    return classes


def ranges(values):
    """{code point: value} as [first, last, value]; the gap of the surrogates joins nothing."""
    out = []
    for c in sorted(values):
        if out and out[-1][1] + 1 == c and out[-1][2] == values[c]:
            out[-1][1] = c
        else:
            out.append([c, c, values[c]])
    return out


def emit_rows(lines, rows):
    line = ""
    for row in rows:
        cell = "{" + ",".join(f"0x{x:X}" if isinstance(x, int) else x for x in row) + "}, "
        if len(line) + len(cell) > 110:
            lines.append(line.rstrip())
            line = ""
        line += cell
    lines.append(line.rstrip())


def emit_table(lines, kind, name, rows):
    lines.append(f"constexpr {kind} {name}[] = {{")
    emit_rows(lines, rows)
    lines.append("};")


def emit_set(lines, name, code_points):
    emit_table(lines, "CodePointRange", name, [r[:2] for r in ranges(dict.fromkeys(code_points, 0))])


def emit_sequences(lines, name, mapping):
    """The values one after the other, preceded by code point and length."""
    flat = [x for c in sorted(mapping) for x in (c, len(mapping[c]), *mapping[c])]
    lines.append(f"constexpr char32_t {name}[] = {{")
    for i in range(0, len(flat), 18):
        lines.append("".join(f"{x}," for x in flat[i : i + 18]))
    lines.append("};")


def build():
    lines = [
        f"// Made by tools/make_unicode_tables.py from tokenizers {tokenizers.__version__}. Do not edit.",
        "// clang-format off",
    ]
    category = {}
    for name in CATEGORIES:
        for c in matching(rf"\p{{{name}}}+"):
            assert c not in category, (hex(c), name, category[c])
            category[c] = "k" + name
    emit_table(lines, "CategoryRange", "kCategories", ranges(category))

    emit_set(lines, "kRegexSpace", matching(r"\s+"))
    words_in_brackets = matching(r"[\w]+")  # Oniguruma looks up Latin-1 in two ways that disagree
    emit_set(lines, "kRegexWord", words_in_brackets)
    assert words_in_brackets <= matching(r"\w+")
    emit_set(lines, "kRegexWordOutsideBrackets", matching(r"\w+") - words_in_brackets)
    digits = matching(r"\d+")
    assert digits == {c for c in category if category[c] == "kNd"}
    for script in SCRIPTS:
        emit_set(lines, "kScript" + script, matching(rf"\p{{{script}}}+"))

    white = set(CODE_POINTS) - kept_by(pre_tokenizers.WhitespaceSplit())
    emit_set(lines, "kCharWhitespace", white)
    strip = normalizers.Strip()
    assert white == {c for c in CODE_POINTS if strip.normalize_str(chr(c)) == ""}
    assert white == {c for c, e in added_token_probe(lambda x: x + "zz", lstrip=True) if e.offsets[0] == (0, 3)}
    emit_set(lines, "kCharWord", {c for c, e in added_token_probe(lambda x: x + "zz", single_word=True)
                                  if 1 not in e.ids})
    digit_split = pre_tokenizers.Digits(individual_digits=False)
    emit_set(lines, "kCharNumeric", {c for c in CODE_POINTS if len(digit_split.pre_tokenize_str("a" + chr(c))) == 2})
    emit_set(lines, "kNonspacingMark", {c for c in CODE_POINTS
                                        if normalizers.StripAccents().normalize_str(chr(c)) == ""})
    cleaned = normalized(normalizers.BertNormalizer(True, False, False, False))
    emit_set(lines, "kBertRemoved", {c for c, text in cleaned.items() if text == []})
    # What it turns into a space beside U+000A and the like is white already, and white again when words are cut.
    assert all(chr(c) in "\t\n\r" or c in white for c, text in cleaned.items() if text == [0x20])
    spaced = normalized(normalizers.BertNormalizer(False, True, False, False))
    assert all(text == [0x20, c, 0x20] for c, text in spaced.items())
    emit_set(lines, "kBertIdeograph", spaced)
    emit_set(lines, "kBertAccent", {c for c, text in normalized(normalizers.BertNormalizer(False, False, True, False)).items()
                                    if text == []})
    bert = pre_tokenizers.BertPreTokenizer()
    pieces = {c: len(bert.pre_tokenize_str(f"a{chr(c)}a")) for c in CODE_POINTS}
    assert white == {c for c in pieces if pieces[c] == 2}
    emit_set(lines, "kBertPunctuation", {c for c in pieces if pieces[c] == 3})
    emit_sequences(lines, "kLowercase", normalized(normalizers.Lowercase()))

    canonical = {c: d for c, d in normalized(normalizers.NFD()).items() if c not in HANGUL}
    emit_sequences(lines, "kCanonical", canonical)
    emit_sequences(lines, "kCompatibility", {c: d for c, d in normalized(normalizers.NFKD()).items()
                                             if c not in HANGUL and canonical.get(c) != d})
    emit_table(lines, "ClassRange", "kCombiningClasses", ranges(combining_classes(normalizers.NFD())))
    nfc = normalizers.NFC()
    emit_set(lines, "kNotComposed", {c for c in canonical if nfc.normalize_str(chr(c)) != chr(c)})
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = build()
    if check:
        if TARGET.read_text() != text:
            sys.exit(f"{TARGET} is not what tokenizers {tokenizers.__version__} gives: run {sys.argv[0]}")
    else:
        TARGET.write_text(text)


if __name__ == "__main__":
    main()
