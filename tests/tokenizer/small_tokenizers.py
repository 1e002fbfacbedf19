"""Tokenizers trained on a few lines, one for each way of putting components together. Values of tokenizer.json."""
import functools
import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from fuzz_text import WORDS

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def modern(words, digits, excluded):
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?" + words + r"+|" + digits + r"| ?[^\s" + excluded
        + r"]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


QWEN2 = modern(r"\p{L}", r"\p{N}", r"\p{L}\p{N}")
LLAMA3 = modern(r"\p{L}", r"\p{N}{1,3}", r"\p{L}\p{N}")
NUMBERS = modern(r"\p{L}", r"\p{N}+", r"\p{L}\p{N}")
MARKS = modern(r"[\p{L}\p{M}]", r"\p{N}", r"\p{L}\p{M}\p{N}")
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
O200K = "|".join([
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{ENDING}", rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{ENDING}",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
HAN = r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{L}&&[^\p{Han}]]+|\p{N}{1,3}|[^\s\p{L}\p{N}]+|\s+"
MIXED = [r"\d{2,}?", r"[^\W\d_]+", r"(?<=a)b+|^\s|\s$", r"\bthe\b", r"[\x{4e00}-\x{9fff}ぁ-ん]+", r".{,3}\.", r"x*", r"(?:ab?)++c"]

CORPUS = [" ".join(WORDS), " ".join(reversed(WORDS)), "the cat the dog the end, and the world of words " * 5]


@functools.cache
def byte_level_model():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=500, initial_alphabet=sorted(alphabet), show_progress=False))
    return json.loads(tokenizer.to_str())["model"]


@functools.cache
def character_model():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=620, special_tokens=special, show_progress=False))
    return json.loads(tokenizer.to_str())["model"]


@functools.cache
def word_piece_model():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=special, show_progress=False))
    return json.loads(tokenizer.to_str())["model"]


def added(*tokens):
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)
    return [dict(id=i, content=content, **{**flags, **own}) for i, (content, own) in enumerate(tokens)]


def byte_level(pre_tokenizer=None, normalizer=None, tokens=(), post_processor=None, **model):
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=False)
    return dict(
        version="1.0", truncation=None, padding=None, added_tokens=list(tokens), normalizer=normalizer,
        pre_tokenizer=pre_tokenizer or dict(level, use_regex=True), post_processor=post_processor, decoder=level,
        model={**byte_level_model(), **model})


def characters(pre_tokenizer=None, normalizer=None, tokens=(), post_processor=None, decoder=None, drop=(), **model):
    made = {**character_model(), **model}
    if drop:
        made["vocab"] = {k: v for k, v in made["vocab"].items() if k not in drop}
    return dict(
        version="1.0", truncation=None, padding=None, added_tokens=list(tokens), normalizer=normalizer,
        pre_tokenizer=pre_tokenizer, post_processor=post_processor, decoder=decoder, model=made)


def word_pieces(tokens=(), normalizer=None, post_processor=None, prefix="##", cleanup=True, drop=(), **model):
    made = {k: v for k, v in {**word_piece_model(), **model}.items() if k not in drop}
    if prefix != "##":
        made["vocab"] = {(prefix + k[2:] if k.startswith("##") else k): v for k, v in made["vocab"].items()}
        made["continuing_subword_prefix"] = prefix
    return dict(
        version="1.0", truncation=None, padding=None, added_tokens=list(tokens), normalizer=normalizer,
        pre_tokenizer=dict(type="BertPreTokenizer"), post_processor=post_processor,
        decoder=dict(type="WordPiece", prefix=prefix, cleanup=cleanup), model=made)


def bert_normalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True):
    return dict(type="BertNormalizer", clean_text=clean_text, handle_chinese_chars=handle_chinese_chars,
                strip_accents=strip_accents, lowercase=lowercase)


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return dict(type="Split", pattern={kind: pattern}, behavior=behavior, invert=invert)


def before_bytes(*steps, prefix=False):
    level = dict(type="ByteLevel", add_prefix_space=prefix, trim_offsets=True, use_regex=False)
    return dict(type="Sequence", pretokenizers=[*steps, level])


def sequence(*normalizers):
    return dict(type="Sequence", normalizers=list(normalizers))


def template(before, after=()):
    piece = lambda t: {"SpecialToken": {"id": t, "type_id": 0}}
    a = {"Sequence": {"id": "A", "type_id": 0}}
    single = [*map(piece, before), a, *map(piece, after)]
    return dict(type="TemplateProcessing", single=single, pair=[*single, {"Sequence": {"id": "B", "type_id": 1}}],
                special_tokens={t: dict(id=t, ids=[i + 1], tokens=[t]) for i, t in enumerate([*before, *after])})


SPM_NORMALIZER = sequence(dict(type="Prepend", prepend="▁"),
                          dict(type="Replace", pattern={"String": " "}, content="▁"))
SPM_DECODER = dict(type="Sequence", decoders=[
    dict(type="Replace", pattern={"String": "▁"}, content=" "), dict(type="ByteFallback"), dict(type="Fuse"),
    dict(type="Strip", content=" ", start=1, stop=0)])
SPECIALS = added(("<unk>", dict(special=True)), ("<s>", dict(special=True)), ("</s>", dict(special=True)))
CHAT = added(("<|endoftext|>", dict(special=True)), ("<|im_start|>", dict(special=True)),
             ("<|im_end|>", dict(special=True)), ("<tool>", {}))
FLAGS = added(
    ("<s>", dict(special=True)), ("<mask>", dict(special=True, lstrip=True)), ("<pad>", dict(rstrip=True)),
    ("the", dict(single_word=True)), ("World", dict(normalized=True)), ("café", dict(normalized=True, rstrip=True)),
    ("<|im_end|>", dict(lstrip=True, rstrip=True, single_word=True)), ("<|im_end|>x", {}), (" \n", {}),
    ("ﬁ", dict(normalized=True)), ("don", dict(single_word=True, normalized=True)))


BERT_TOKENS = added(*((name, dict(special=True)) for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")))


def metaspace(scheme="always", split=True, replacement="▁"):
    return dict(type="Metaspace", replacement=replacement, prepend_scheme=scheme, split=split)


def all_tokenizers():
    out = {
        "gpt2": byte_level(tokens=CHAT),
        "gpt2_prefix": byte_level(dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True)),
        "qwen2": byte_level(before_bytes(split(QWEN2)), dict(type="NFC"), CHAT),
        "llama3": byte_level(before_bytes(split(LLAMA3)), tokens=CHAT, post_processor=template(["<s>"]),
                             ignore_merges=True),
        "numbers": byte_level(before_bytes(split(NUMBERS, "Removed", True))),
        "marks": byte_level(before_bytes(split(MARKS)), dict(type="NFKC")),
        "cl100k": byte_level(before_bytes(split(CL100K))),
        "o200k": byte_level(before_bytes(split(O200K)), dict(type="NFD")),
        "han": byte_level(before_bytes(split(HAN))),
        "digits": byte_level(before_bytes(dict(type="Digits", individual_digits=True), split(GPT2), prefix=True)),
        "digit_runs": byte_level(before_bytes(dict(type="Digits", individual_digits=False))),
        "bytes_then_more": byte_level(dict(type="Sequence", pretokenizers=[
            dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True), split("Ġ", kind="String")])),
        "whitespace": byte_level(before_bytes(dict(type="Whitespace"))),
        "whitespace_split": byte_level(before_bytes(dict(type="WhitespaceSplit"))),
        "flags": byte_level(tokens=FLAGS, normalizer=sequence(dict(type="NFKC"), dict(type="Lowercase"))),
        "flags_nfkd": byte_level(tokens=FLAGS, normalizer=sequence(
            dict(type="NFKD"), dict(type="StripAccents"), dict(type="Strip", strip_left=True, strip_right=True))),
        "roberta": byte_level(tokens=SPECIALS, post_processor=dict(
            type="RobertaProcessing", sep=["</s>", 2], cls=["<s>", 0], trim_offsets=True, add_prefix_space=False)),
        "post_sequence": byte_level(tokens=SPECIALS, post_processor=dict(type="Sequence", processors=[
            dict(type="ByteLevel", add_prefix_space=True, trim_offsets=False, use_regex=True),
            template(["<s>", "<t>"], ["</s>"])])),
        "spm": characters(normalizer=SPM_NORMALIZER, tokens=SPECIALS, post_processor=template(["<s>"]),
                          decoder=SPM_DECODER, byte_fallback=True, fuse_unk=True),
        "spm_unk": characters(normalizer=SPM_NORMALIZER, decoder=SPM_DECODER, fuse_unk=True),
        "spm_unk_each": characters(normalizer=SPM_NORMALIZER, tokens=FLAGS, fuse_unk=False),
        "spm_no_unk": characters(normalizer=SPM_NORMALIZER, unk_token=None),
        "spm_some_bytes": characters(normalizer=SPM_NORMALIZER, byte_fallback=True, fuse_unk=True,
                                     drop=("<0xE6>", "<0xF0>", "<0x0A>")),
        "spm_ignore_merges": characters(normalizer=SPM_NORMALIZER, ignore_merges=True, byte_fallback=True),
        "metaspace": characters(metaspace(), decoder=metaspace(), tokens=SPECIALS),
        "metaspace_first": characters(metaspace("first", False), decoder=metaspace("first", False), tokens=FLAGS),
        "metaspace_first_strip": characters(
            metaspace("first"), sequence(dict(type="Strip", strip_left=True, strip_right=False), dict(type="NFKC")),
            decoder=metaspace("never"), tokens=SPECIALS),
        "metaspace_never": characters(metaspace("never"), decoder=metaspace("never")),
        "bert": word_pieces(BERT_TOKENS, bert_normalizer(), dict(type="BertProcessing", sep=["[SEP]", 3], cls=["[CLS]", 2])),
        "bert_cased": word_pieces(BERT_TOKENS, bert_normalizer(lowercase=False), template(["[UNK]"], ["[CLS]"]),
                                  cleanup=False),
        "bert_accents": word_pieces(FLAGS, bert_normalizer(strip_accents=True, lowercase=False), prefix="@@"),
        "bert_no_accents": word_pieces(FLAGS, bert_normalizer(False, False, False, True), max_input_chars_per_word=7),
        "word_piece_old": word_pieces(BERT_TOKENS, drop=("type",)),
        "replace_regex": characters(metaspace("never", False), sequence(
            dict(type="Replace", pattern={"Regex": r"\s{2,}|\p{So}"}, content=" "),
            dict(type="Replace", pattern={"String": "ab"}, content=""))),
    }
    for i, pattern in enumerate(MIXED):
        behavior = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"][i % 5]
        out[f"pattern_{i}"] = byte_level(before_bytes(split(pattern, behavior)))
        out[f"pattern_{i}_inverted"] = byte_level(before_bytes(split(pattern, behavior, True)))
    for behavior in ["Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]:
        out["gpt2_" + behavior] = byte_level(before_bytes(split(GPT2, behavior)))
        out["string_" + behavior] = byte_level(before_bytes(split("e", behavior, kind="String")))
    return out
