"""Texts that make tokenizers disagree, from fixed seeds."""
import random
import unicodedata

WORDS = (
    "the of and to in is that it was for on Hello world don't I'll we've they're I'm he'd it's DON'T I'LL WE'VE "
    "tokenization internationalization x86_64 C++20 3.14159 1234567890 2024-01-31 http://example.com/a?b=c&d=e "
    "foo_bar FooBar fooBar café naïve Straße ЁЖИК Привет мир שלום العربية नमस्ते ไทย 한국어 日本語 中文 東京都 "
    "ﬁ ﬂ ½ ² Ⅳ ① ﷺ İstanbul ΣΑΣ ǅ ſ 'ſ K"
).split(" ")
PIECES = [
    " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e",
    "\u200b", "\u200d", "\ufeff", ".", ",", "!", "?!", "...", "'", "''", "'s", "'S", "'T", "'ll", "'Ll", "'RE", "'\u017f", "-",
    "/", "\\", '"', "(", ")", "[", "]", "{", "}", "<", ">", "|", "_", "▁", "▁▁", " ▁", "Ġ", "e\u0301", "\u0301",
    "o\u0302\u0323", "o\u0323\u0302", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0f71\u0f72", "🙂", "👩‍👩‍👧‍👦", "🇩🇪",
    "👍🏽", "\U0001F1E9", "<s>", "</s>", "<unk>", "<pad>", "<mask>", "<|endoftext|>", "<|im_start|>", "<|im_end|>",
    "<|im_end", "[CLS]", "[SEP]", "<0x41>", "<0x0A>", "\x00", "\x01", "\x7f", "\x1c", "\U0001dfff", "\U00032000", "\u0378",
    "\U0010ffff", "\U000e0001", "\ufffd", "\ue000", "\u1c89", "\ua7cb", "\U00010d50", "\U00016d40", "\U000113d1",
]
FIXED = [
    "", " ", "  ", "\n", "\r\n", "\t\t", "a", " a", "a ", "  a  ", "Hello world", " Hello  world ", "x" * 10000,
    "ab" * 5000, "é" * 3000, "日本語" * 1500, " " * 5000, "\n" * 3000, "1" * 5000, "'" * 2000, "🙂" * 1000,
    "".join(chr(97 + i * 7919 % 26) for i in range(10000)), "a\u0301" * 2000, "\u0301" * 500, "▁" * 100,
    "line one\r\nline two\r\n\r\n\tindented\r\n", "def f(x):\n    return x + 1\n\n\n# end", "\ufeffbom",
]


def random_code_point(chance):
    limit = chance.choice([0x80, 0x250, 0x800, 0x3000, 0x10000, 0x20000, 0x110000])
    while True:
        c = chance.randrange(limit)
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def mixture(chance, extra):
    out = []
    for _ in range(chance.randrange(1, 30)):
        kind = chance.random()
        if kind < 0.35:
            out.append(chance.choice(WORDS))
            out.append(chance.choice([" ", " ", " ", "", "  "]))
        elif kind < 0.7:
            out.append(chance.choice(PIECES))
        elif kind < 0.8 and extra:
            out.append(chance.choice(extra))
        elif kind < 0.9:
            out.append(random_code_point(chance) * chance.choice([1, 1, 2]))
        else:
            out.append("".join(random_code_point(chance) for _ in range(chance.randrange(1, 12))))
    text = "".join(out)
    return unicodedata.normalize("NFD", text) if chance.random() < 0.1 else text


def texts(seed, count, extra=()):
    """FIXED, then `count` random texts; `extra` are pieces to mix in, such as the tokenizer's added tokens."""
    chance = random.Random(seed)
    return FIXED + [mixture(chance, list(extra)) for _ in range(count)]


def all_code_points():
    """Every code point between two letters and after a space, a thousand to a text."""
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    for start in range(0, len(points), 1000):
        yield "".join(f"a{c}b {c}1{c}{c} " for c in points[start : start + 1000])
