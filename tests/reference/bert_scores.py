"""What bert_score 0.3.13 gives, and tiny random encoders for it to read.

The package was written for slow tokenizers. With transformers 5 it fails on empty texts, and RoBERTa's tokenizer no
longer heeds `add_prefix_space`; TokenizerOfBefore gives it what it had.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bert_score
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaModel,
)

from reference.tiny_models import _CORPUS

MAX_TOKENS = 60
# name -> (class, config, keys of its own); the heads put a prefix before the names of the encoder's tensors.
ENCODERS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "bert": (BertModel, BertConfig, {"max_position_embeddings": MAX_TOKENS, "layer_norm_eps": 1e-6}),
    "roberta": (RobertaModel, RobertaConfig, {"max_position_embeddings": MAX_TOKENS + 2, "type_vocab_size": 1}),
    "roberta-head": (RobertaForMaskedLM, RobertaConfig, {"max_position_embeddings": MAX_TOKENS + 2}),
    "distilbert": (DistilBertModel, DistilBertConfig, {"max_position_embeddings": MAX_TOKENS}),
    "distilbert-head": (DistilBertForMaskedLM, DistilBertConfig, {"max_position_embeddings": MAX_TOKENS}),
}
LAYERS = 4


def _tokenizer(is_roberta: bool) -> PreTrainedTokenizerFast:
    if is_roberta:
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        specials = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
        trainer = trainers.WordPieceTrainer(vocab_size=400, show_progress=False)
    trainer.special_tokens = [AddedToken(text, special=True) for text in specials]
    tokenizer.train_from_iterator(_CORPUS, trainer)
    cls, pad, sep, unk, mask = specials
    processor = processors.RobertaProcessing if is_roberta else processors.BertProcessing
    tokenizer.post_processor = processor((sep, 2), (cls, 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token=cls,
        pad_token=pad,
        sep_token=sep,
        unk_token=unk,
        mask_token=mask,
        model_max_length=MAX_TOKENS,
    )


def make_encoder(folder: Path, name: str) -> Path:
    """Writes ENCODERS[name] with random weights, of which neither biases nor norms are trivial."""
    made, configuration, own = ENCODERS[name]
    tokenizer = _tokenizer(name.startswith("roberta"))
    config = configuration(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=72,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        pad_token_id=1,
        **({"dim": 32, "hidden_dim": 72, "n_layers": LAYERS, "n_heads": 4} if "distilbert" in name else {}),
        **own,
    )
    torch.manual_seed(5)
    network = made(config)
    with torch.no_grad():
        for parameter_name, parameter in network.named_parameters():
            scale = 0.2 if parameter.dim() == 1 else 1.5 / math.sqrt(parameter.shape[1])
            is_norm = parameter.dim() == 1 and parameter_name.endswith("weight")
            parameter.copy_(torch.randn_like(parameter) * scale + is_norm)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rename_norms(folder: Path) -> None:
    """The names that weights converted from TensorFlow have."""
    path = folder / "model.safetensors"
    old = {".weight": ".gamma", ".bias": ".beta"}
    renamed = {}
    for name, tensor in load_file(path).items():
        stem, dot, last = name.rpartition(".")
        renamed[stem + old[dot + last] if stem.endswith("LayerNorm") else name] = tensor
    save_file(renamed, path, metadata={"format": "pt"})


class TokenizerOfBefore:
    """What bert_score 0.3.13 saw with transformers 4.57: build_inputs_with_special_tokens, and RoBERTa's space."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.prefix = " " if AutoConfig.from_pretrained(folder).model_type == "roberta" else ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def encode(self, text: str, **options: Any) -> list[int]:
        return self.tokenizer.encode(self.prefix + text, **options)

    def build_inputs_with_special_tokens(self, ids: list[int]) -> list[int]:
        return [self.tokenizer.cls_token_id, *ids, self.tokenizer.sep_token_id]


@contextmanager
def _tokenizers_of_before() -> Iterator[None]:
    module = sys.modules["bert_score.score"]  # the package has a function of this name
    original = module.get_tokenizer
    module.get_tokenizer = lambda folder, use_fast: TokenizerOfBefore(folder)
    try:
        yield
    finally:
        module.get_tokenizer = original


def bert_scores(folder: Path, candidates: list[str], references: list[str], layer: int, **options: Any) -> torch.Tensor:
    """[pairs, (P, R, F)] of bert_score, on the CPU."""
    with _tokenizers_of_before():
        scores = bert_score.score(
            candidates, references, model_type=str(folder), num_layers=layer, nthreads=0, device="cpu", **options
        )
    return torch.stack(scores, dim=-1)
