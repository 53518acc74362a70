"""Trains small tokenizers and records what their reference library makes of every line of lines.json.

Writes tests/golden/tokenizers/. References: `tokenizers` for tokenizer.json, `sentencepiece` for tokenizer.model.
"""
import argparse
import collections
import io
import json
import os
import shutil
import string
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sentencepiece
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE

import tokenizer_lines

MARK = "\u2581"  # stands for a space in SentencePiece and what descends from it
GPT2_SPLIT = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
LLAMA3_REGEX = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_REGEX = LLAMA3_REGEX.replace(r"\p{N}{1,3}", r"\p{N}")
BYTES = [f"<0x{b:02X}>" for b in range(256)]
SPLIT_BY_REGEX = ("gpt2", "llama3", "qwen2")  # one tokenizer per regex records the pre-tokens as well
# Whole words that no merge reaches: only `ignore_merges` finds them.
UNREACHABLE = ["\u0120sparsity", "\u0120perplexity", "\u0120entropy", "Tokenizer"]


# ---- training ----

def train(size, pre_tokenizer=None, normalizer=None, texts=None, **options):
    """Trains a BPE model; returns its vocabulary as a list in id order and its merges as pairs."""
    tokenizer = Tokenizer(BPE())
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, show_progress=False, **options)
    tokenizer.train_from_iterator(texts or tokenizer_lines.corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    vocab = sorted(model["vocab"], key=model["vocab"].get)
    return vocab, [tuple(pair) for pair in model["merges"]]


def train_byte_level(size, regex=None, normalizer=None, specials=()):
    if regex is None:
        split = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"),
                                         pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return train(size, split, normalizer, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
                 special_tokens=list(specials))


def train_llama2(size):
    """Words keep the mark in front and digits stay alone, as in Llama 2; what is not in the alphabet falls to bytes."""
    split = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(MARK, prepend_scheme="always", split=True),
                                     pre_tokenizers.Digits(individual_digits=True)])
    texts = [" ".join(text.split()) for text in tokenizer_lines.corpus()]
    # The trainer's own choice of a limited alphabet breaks ties by hash order, so the choice is made here.
    counts = collections.Counter(MARK.join(texts))
    alphabet = sorted(counts, key=lambda char: (-counts[char], char))[:160]
    return train(size, split, texts=texts, initial_alphabet=alphabet, limit_alphabet=len(alphabet),
                 special_tokens=["<unk>", "<s>", "</s>"] + BYTES)


# ---- pieces of tokenizer.json ----

def added(token_id, content, special=True, normalized=False, lstrip=False, rstrip=False, single_word=False):
    return {"id": token_id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip,
            "normalized": normalized, "special": special}


def added_in_order(first_id, contents, **flags):
    return [added(first_id + i, content, **flags) for i, content in enumerate(contents)]


def bpe(vocab, merges, pairs, **overrides):
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False}
    model.update(overrides)
    model["vocab"] = {piece: i for i, piece in enumerate(vocab)}
    # Published files spell a merge "a b" (before tokenizers 0.20) or ["a", "b"]; only the second allows a space inside.
    model["merges"] = [list(pair) if pairs else " ".join(pair) for pair in merges]
    return model


def split_on(regex):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}


def bos_template(bos, bos_id):
    token, text = {"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    second = [{"SpecialToken": {"id": bos, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": [token, text], "pair": [token, text] + second,
            "special_tokens": {bos: {"id": bos, "ids": [bos_id], "tokens": [bos]}}}


def byte_level(add_prefix_space=False, trim_offsets=False, use_regex=True):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": trim_offsets,
            "use_regex": use_regex}


LLAMA2_NORMALIZER = {"type": "Sequence", "normalizers": [
    {"type": "Prepend", "prepend": MARK}, {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]}
LLAMA2_DECODER = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}


def document(model, added_tokens, normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None,
             truncation=None):
    return {"version": "1.0", "truncation": truncation, "padding": None, "added_tokens": added_tokens,
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor,
            "decoder": decoder, "model": model}


# ---- the tokenizers: each returns {file name: content} ----

def make_gpt2():
    vocab, merges = train_byte_level(700)
    vocab = vocab + ["<|endoftext|>"]
    model = bpe(vocab, merges, pairs=False, continuing_subword_prefix="", end_of_word_suffix="")
    # The published file carries a truncation that no reader applies; so does this one.
    truncation = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    tokenizer = document(model, [added(len(vocab) - 1, "<|endoftext|>", normalized=True)], None, GPT2_SPLIT,
                         byte_level(True), byte_level(True, True), truncation)
    config = {"add_prefix_space": False, "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
              "unk_token": "<|endoftext|>", "model_max_length": 1024, "tokenizer_class": "GPT2Tokenizer"}
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def make_opt():
    vocab, merges = train_byte_level(700, specials=["<s>", "<pad>", "</s>", "<unk>"])
    model = bpe(vocab, merges, pairs=False, continuing_subword_prefix="", end_of_word_suffix="")
    added_tokens = [added(1, "<pad>", normalized=True), added(2, "</s>", normalized=True)]
    tokenizer = document(model, added_tokens, None, GPT2_SPLIT, bos_template("</s>", 2), byte_level(True, True))
    config = {"errors": "replace", "unk_token": "</s>", "bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>",
              "add_prefix_space": False, "add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"}
    # Published OPT directories have these two files and no tokenizer.json.
    merges_text = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges)
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config, "vocab.json": model["vocab"],
            "merges.txt": merges_text}


def make_llama3():
    vocab, merges = train_byte_level(700, LLAMA3_REGEX)
    extra = [word for word in UNREACHABLE if word not in vocab]
    assert len(extra) >= 2
    vocab = vocab + extra
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    post = {"type": "Sequence", "processors": [byte_level(True), bos_template("<|begin_of_text|>", len(vocab))]}
    model = bpe(vocab, merges, pairs=False, ignore_merges=True)
    tokenizer = document(model, added_in_order(len(vocab), specials), None, split_on(LLAMA3_REGEX), post,
                         byte_level(True, True))
    config = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "clean_up_tokenization_spaces": True,
              "model_max_length": 131072, "tokenizer_class": "PreTrainedTokenizerFast"}
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def make_qwen2():
    vocab, merges = train_byte_level(700, QWEN2_REGEX, normalizers.NFC())
    tokenizer = document(bpe(vocab, merges, pairs=False, continuing_subword_prefix="", end_of_word_suffix=""),
                         added_in_order(len(vocab), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]),
                         {"type": "NFC"}, split_on(QWEN2_REGEX), byte_level(use_regex=False),
                         byte_level(use_regex=False))
    config = {"add_prefix_space": False, "bos_token": None, "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>",
              "unk_token": None, "errors": "replace", "clean_up_tokenization_spaces": False,
              "split_special_tokens": False, "model_max_length": 32768, "tokenizer_class": "Qwen2Tokenizer"}
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def llama2_config(**overrides):
    config = {"add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>",
              "unk_token": "<unk>", "clean_up_tokenization_spaces": False, "legacy": True,
              "tokenizer_class": "LlamaTokenizer"}
    config.update(overrides)
    return config


def make_llama2_json():
    vocab, merges = train_llama2(900)
    tokenizer = document(bpe(vocab, merges, pairs=False, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                         added_in_order(0, ["<unk>", "<s>", "</s>"]), LLAMA2_NORMALIZER, None, bos_template("<s>", 1),
                         LLAMA2_DECODER)
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": llama2_config()}


def make_llama2_metaspace():
    vocab, merges = train_llama2(900)
    metaspace = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "first", "split": False}
    tokenizer = document(bpe(vocab, merges, pairs=True, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                         added_in_order(0, ["<unk>", "<s>", "</s>"]), None, metaspace, bos_template("<s>", 1),
                         LLAMA2_DECODER)
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": llama2_config(legacy=False)}


def make_suffix_space():
    """Words end in the mark, merges cross words, byte fallback is on though the vocabulary has no byte pieces."""
    specials = ["<unk>", "<|start_story|>", "<|end_story|>"]
    texts = [text.replace(" ", MARK) for text in tokenizer_lines.PROSE * 3 if text.isascii()]
    texts += [MARK + "<|start_story|>" + text for text in texts[:10]] + ["\n".join(texts[:20])]
    # The alphabet of the tokenizer this one is modelled on; everything else is unknown.
    alphabet = list("\n!\"$',-.:;<>?_|" + string.digits + string.ascii_letters + MARK)
    vocab, merges = train(560, texts=texts, special_tokens=specials, max_token_length=16, initial_alphabet=alphabet,
                          limit_alphabet=len(alphabet))
    tokenizer = document(bpe(vocab, merges, pairs=False, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                         added_in_order(0, specials, normalized=True), LLAMA2_NORMALIZER, None,
                         bos_template("<|start_story|>", 1), LLAMA2_DECODER)
    config = llama2_config(bos_token="<|start_story|>", eos_token="<|end_story|>", pad_token="<unk>", legacy=False)
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def make_added_flags():
    """Every flag of an added token, alone and combined, over an NFC normaliser."""
    vocab, merges = train_byte_level(500, QWEN2_REGEX, normalizers.NFC())
    specs = [("<plain>", {}), ("<lstrip>", {"lstrip": True}), ("<rstrip>", {"rstrip": True}),
             ("<both>", {"lstrip": True, "rstrip": True}), ("word", {"single_word": True, "special": False}),
             ("<word>", {"single_word": True}), ("<wordl>", {"single_word": True, "lstrip": True}),
             ("norm\u00e9", {"normalized": True, "special": False}), ("raw\u00e9", {"special": False}),
             ("rawe\u0301", {"special": False}), ("dece\u0301", {"normalized": True, "special": False}),
             ("<a>", {}), ("<a><b>", {}), ("<b>", {"normalized": True}),
             ("tok", {"special": False, "normalized": True}), ("token", {"special": False, "normalized": True}),
             ("    ", {"special": False, "normalized": True}), ("<in ner>", {}), ("<nonspecial>", {"special": False})]
    tokens = [added(len(vocab) + i, content, **flags) for i, (content, flags) in enumerate(specs)]
    tokenizer = document(bpe(vocab, merges, pairs=True), tokens, {"type": "NFC"}, split_on(QWEN2_REGEX),
                         byte_level(use_regex=False), byte_level(use_regex=False))
    config = {"bos_token": None, "eos_token": "<plain>", "clean_up_tokenization_spaces": False,
              "tokenizer_class": "PreTrainedTokenizerFast"}
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def make_merges_as_pairs():
    """Pieces with real spaces inside, which only the pair spelling of a merge can express."""
    texts = [text for text in tokenizer_lines.corpus() if text.isascii()]
    vocab, merges = train(800, texts=texts, special_tokens=["<unk>", "<s>", "</s>"] + BYTES, max_token_length=12)
    assert any(" " in left or " " in right for left, right in merges)
    tokenizer = document(bpe(vocab, merges, pairs=True, unk_token="<unk>", fuse_unk=True, byte_fallback=True),
                         added_in_order(0, ["<unk>", "<s>", "</s>"]), None, None, None,
                         {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]})
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": False,
              "tokenizer_class": "PreTrainedTokenizerFast"}
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config}


def train_sentencepiece(**options):
    # An iterator and a writer instead of paths: a path would end up inside the model.
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(tokenizer_lines.corpus()), model_writer=model, num_threads=1, unk_id=0, bos_id=1,
        eos_id=2, pad_id=-1, hard_vocab_limit=True, minloglevel=2, **options)
    return model.getvalue()


def make_spm_bpe():
    model = train_sentencepiece(
        model_type="bpe", vocab_size=900, character_coverage=0.98, byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True,
        allow_whitespace_only_pieces=True, unk_surface=" \u2047 ")
    return {"tokenizer.model": model, "tokenizer_config.json": llama2_config()}


def make_spm_unigram():
    model = train_sentencepiece(
        model_type="unigram", vocab_size=800, character_coverage=0.98, normalization_rule_name="nmt_nfkc",
        user_defined_symbols=["<sep>", "<mask>"])
    return {"tokenizer.model": model, "tokenizer_config.json": llama2_config()}


MAKERS = {"gpt2": make_gpt2, "opt": make_opt, "llama3": make_llama3, "qwen2": make_qwen2,
          "llama2-json": make_llama2_json, "llama2-metaspace": make_llama2_metaspace, "suffix-space": make_suffix_space,
          "added-flags": make_added_flags, "merges-as-pairs": make_merges_as_pairs, "spm-bpe": make_spm_bpe,
          "spm-unigram": make_spm_unigram}


# ---- expectations ----

def expect_json(path, lines, with_splits):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    plain = [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]
    unsettled = unsettled_tokens(tokenizer, path)
    decoded = [None if unsettled.intersection(ids) else tokenizer.decode(ids, skip_special_tokens=False)
               for ids in plain]
    expected = {"ids": [tokenizer.encode(line).ids for line in lines], "ids_plain": plain, "decoded": decoded}
    if with_splits:
        expected["splits"] = [split_bytes(tokenizer, line) for line in lines]
    return expected


def unsettled_tokens(tokenizer, path):
    """Added tokens that decode to their content before tokenizers 0.23 and to their normalised content since."""
    if tokenizer.normalizer is None:
        return set()
    return {token["id"] for token in json.loads(path.read_text(encoding="utf-8"))["added_tokens"]
            if token["normalized"] and tokenizer.normalizer.normalize_str(token["content"]) != token["content"]}


def split_bytes(tokenizer, line):
    """Bytes of each pre-token of the normalised line, added tokens taken as text; ids alone hide most boundaries."""
    text = tokenizer.normalizer.normalize_str(line) if tokenizer.normalizer else line
    # One character of the byte-level alphabet stands for one byte.
    sizes = [len(piece) for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
    assert sum(sizes) == len(text.encode())
    return sizes


def expect_sentencepiece(path, lines):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    plain = [processor.encode(line) for line in lines]
    return {"ids": [[processor.bos_id()] + ids for ids in plain], "ids_plain": plain,
            "decoded": [processor.decode(ids) for ids in plain]}


def write_json(path, value, ascii_only=False):
    path.write_text(json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":")) + "\n", encoding="utf-8")


def write_folder(folder, files, lines):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, str):
            (folder / name).write_text(content, encoding="utf-8")
        else:
            write_json(folder / name, content)
    model = folder / "tokenizer.model"
    if model.exists():
        expected = expect_sentencepiece(model, lines)
    else:
        expected = expect_json(folder / "tokenizer.json", lines, with_splits=folder.name in SPLIT_BY_REGEX)
    write_json(folder / "expected.json", expected)
    return expected


def summary(lines, expected):
    exact = sum(line == text for line, text in zip(lines, expected["decoded"]))
    tokens = sum(map(len, expected["ids_plain"]))
    return f"{tokens} tokens, {exact} of {len(lines)} lines come back, {expected['decoded'].count(None)} left open"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--out", type=Path, default=root / "tests/golden/tokenizers")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    lines = tokenizer_lines.lines()
    write_json(out / "lines.json", lines, ascii_only=True)
    for name, make in MAKERS.items():
        print(f"{name}: {summary(lines, write_folder(out / name, make(), lines))}")


if __name__ == "__main__":
    main()
