#!/usr/bin/env python3
"""Writes test/golden/tokenizer/variants.json: what the library `tokenizers` makes of texts by many a tokenizer.json.

    test/oracle/tokenizer_variants.py

Each variant is a small model, of bytes or of characters, with other components around it: normalizers, pre-tokenizers, decoders,
flags of added tokens, rules for unknown characters. Needs `tokenizers` alone.
"""
import json
import pathlib

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = ROOT / "test" / "golden" / "tokenizer" / "variants.json"

SPACE = "\u2581"
TEXTS = ["Hello world", " Hello", "  two  spaces ", "", " ", "the cat's 1234 toys, 56!", "a<|x|>  b", "a  <|x|>b", "<|x|> <|x|>the", "<s>the <s> cat</s>",
         "the<mask>cat <mask> a_<mask>", "Once\n\nupon\ta time\n", "CAF\u00c9 cafe\u0301 \u0130\u1e9e\u03a3", "\ufb01ne \u2460\u00bd \u3000wide\u00a0", "\u96ea\U0001f328 x\u0301\u0302",
         SPACE + "the" + SPACE + SPACE + "cat", "<unk> \u00fe\u00fe\u00fe <unk>", "a_b-c (d) [e] $5 #tag ``q''", "word<|w|>s <|w|> <|w|>, x<|w|>", "\n <|x|>\t\n<|y|>\n",
         "<s> the", "the quick brown fox, the lazy dog", "x<|N|>y <|n|>", "\u0301<mask>\u24d0<mask> \u00b2",
         "\u0915\u093e \u17af\u17b6\u1793 e\u0301 a\u0488 1\u20dd"]


def added(content, special=True, **flags):
    return {"content": content, "special": special, "normalized": False, "lstrip": False, "rstrip": False, "single_word": False, **flags}


def train(alphabet_of_bytes):
    """The model part of a tokenizer.json, of 400 tokens or so."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    if alphabet_of_bytes:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=360, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always", split=False)
        trainer = trainers.BpeTrainer(vocab_size=160, initial_alphabet=list("_-.,'!?\u00e9"), show_progress=False)
    lines = (ROOT / "examples" / "demo-model" / "heldout.txt").read_text().splitlines()[:400]
    tokenizer.train_from_iterator(lines, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    if not alphabet_of_bytes:
        for text in ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), SPACE * 2, "the cat"]:
            model["vocab"].setdefault(text, len(model["vocab"]))
        model["merges"] = [[SPACE, SPACE], *model["merges"]]
    return model


def sequence(kind, parts):
    return {"type": "Sequence", kind: parts}


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def metaspace(scheme, cut=True):
    return {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": cut}


def replace(text, content):
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


def template(before, after):
    def part(token):
        return {"SpecialToken": {"id": token, "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [*map(part, before), {"Sequence": {"id": "A", "type_id": 0}}, *map(part, after)],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "special": before + after}


TOKENS = [added("<s>"), added("</s>"), added("<|x|>"), added("<|y|>", special=False), added("<mask>"), added("<|w|>", special=False), added("<|N|>")]
SENTENCEPIECE = [replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def flagged(**flags):
    """The tokens with these flags on those that are written <|x|>, <mask>, <|w|> and <|N|>."""
    return [{**token, **(flags if token["content"] in ("<|x|>", "<mask>", "<|w|>", "<|N|>") else {})} for token in TOKENS]


def of_bytes(name, pre_tokenizer=None, **parts):
    return {"name": f"bytes: {name}", "model": "bytes", "pre_tokenizer": pre_tokenizer or byte_level(), "decoder": byte_level(True), **parts}


def of_characters(name, pre_tokenizer=None, decoders=SENTENCEPIECE, **parts):
    settings = {"byte_fallback": True, "unk_token": "<unk>", "fuse_unk": True, **parts.pop("settings", {})}
    return {"name": f"characters: {name}", "model": "characters", "settings": settings, "pre_tokenizer": pre_tokenizer,
            "decoder": sequence("decoders", decoders) if isinstance(decoders, list) else decoders, **parts}


def variants():
    prepend = sequence("normalizers", [{"type": "Prepend", "prepend": SPACE}, replace(" ", SPACE)])
    yield of_characters("Prepend and Replace", normalizer=prepend, decoders=[*SENTENCEPIECE, STRIP])
    yield of_characters("Prepend and Replace, normalized tokens", normalizer=prepend, added_tokens=flagged(normalized=True))
    yield of_characters("Replace alone", normalizer=replace(" ", SPACE))
    for scheme in ("first", "always", "never"):
        for cut in (False, True):
            yield of_characters(f"Metaspace {scheme}{', split' if cut else ''}", metaspace(scheme, cut), decoders=[*SENTENCEPIECE, STRIP])
    yield of_characters("Metaspace of old", {"type": "Metaspace", "replacement": SPACE, "add_prefix_space": True}, decoders=[*SENTENCEPIECE, STRIP])
    yield of_characters("Metaspace decoder", metaspace("first", False), decoders=[{"type": "ByteFallback"}, metaspace("first")])
    yield of_characters("Metaspace after NFKC", metaspace("first", False), normalizer={"type": "NFKC"})
    yield of_characters("unknown characters, fused", metaspace("first", False), settings={"byte_fallback": False})
    yield of_characters("unknown characters", metaspace("first", False), settings={"byte_fallback": False, "fuse_unk": False})
    yield of_characters("ignore_merges", metaspace("first"), settings={"ignore_merges": True})
    yield of_characters("Metaspace, then digits", sequence("pretokenizers", [metaspace("first"), {"type": "Digits", "individual_digits": True}]))
    yield of_characters("BOS and EOS", metaspace("first", False), post_processor=template(["<s>"], ["</s>", "<|x|>"]))
    for name, flags in (("lstrip", {"lstrip": True}), ("rstrip", {"rstrip": True}), ("lstrip and rstrip", {"lstrip": True, "rstrip": True}),
                        ("single_word", {"single_word": True}), ("normalized", {"normalized": True}),
                        ("single_word, normalized, rstrip", {"single_word": True, "normalized": True, "rstrip": True})):
        yield of_bytes(name, added_tokens=flagged(**flags), normalizer={"type": "Lowercase"} if "normalized" in flags else None)
        yield of_characters(name, metaspace("first", False), added_tokens=flagged(**flags))
    yield of_bytes("prefix space", byte_level(True))
    yield of_bytes("no expression", byte_level(regex=False))
    yield of_bytes("ignore_merges", settings={"ignore_merges": True})
    for kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield of_bytes(kind, normalizer={"type": kind})
    yield of_bytes("NFD and StripAccents", normalizer=sequence("normalizers", [{"type": "NFD"}, {"type": "StripAccents"}]))
    yield of_bytes("Strip", normalizer={"type": "Strip", "strip_left": True, "strip_right": True})
    yield of_bytes("Strip to the left", normalizer={"type": "Strip", "strip_left": True, "strip_right": False})
    yield of_bytes("Replace by an expression", normalizer={"type": "Replace", "pattern": {"Regex": r"\s{2,}"}, "content": " "})
    for behavior in ("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield of_bytes(f"Split, {behavior}", sequence("pretokenizers", [split(r"[aeiou ]", behavior), byte_level(regex=False)]))
    yield of_bytes("Split, Removed", sequence("pretokenizers", [split(r"\s", "Removed"), byte_level(regex=False)]))
    yield of_bytes("Split, Removed, inverted", sequence("pretokenizers", [split(WORDS, "Removed", True), byte_level(regex=False)]))
    yield of_bytes("Split, Isolated, inverted", sequence("pretokenizers", [split(r"[a-m]+", "Isolated", True), byte_level(regex=False)]))
    yield of_bytes("Split where nothing is matched", sequence("pretokenizers", [split(r"(?=(\d{3})+(?!\d))", "Isolated"), byte_level(regex=False)]))
    yield of_bytes("Digits", sequence("pretokenizers", [{"type": "Digits", "individual_digits": False}, byte_level()]))
    yield of_bytes("Punctuation", sequence("pretokenizers", [{"type": "Punctuation", "behavior": "Contiguous"}, byte_level()]))
    yield of_bytes("WhitespaceSplit", sequence("pretokenizers", [{"type": "WhitespaceSplit"}, byte_level()]))
    yield of_bytes("CharDelimiterSplit", sequence("pretokenizers", [{"type": "CharDelimiterSplit", "delimiter": "-"}, byte_level()]))


def document(variant, bases):
    """The tokenizer.json of a variant."""
    model = {**bases[variant["model"]], **variant.get("settings", {})}
    tokens = [{**token} for token in variant.get("added_tokens", TOKENS)]
    if "<unk>" in model["vocab"]:
        tokens.append(added("<unk>"))
    count = len(model["vocab"])
    for token in tokens:
        token["id"] = model["vocab"].get(token["content"], count)
        count += token["id"] == count
    post = variant.get("post_processor")
    if post:
        ids = {token["content"]: token["id"] for token in tokens}
        post = {**post, "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in post["special"]}}
        del post["special"]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": sorted(tokens, key=lambda token: token["id"]),
            "normalizer": variant.get("normalizer"), "pre_tokenizer": variant["pre_tokenizer"], "post_processor": post,
            "decoder": variant["decoder"], "model": model}


def answers(whole, texts):
    """What the library says to texts: ids with the special tokens around them, and the text that the ids of the text alone give."""
    peer = tokenizers.Tokenizer.from_str(json.dumps(whole))
    for text in texts:
        plain = peer.encode(text, add_special_tokens=False).ids
        yield {"text": text, "ids": peer.encode(text).ids, "back": peer.decode(plain, skip_special_tokens=True)}


def main():
    bases = {"bytes": train(True), "characters": train(False)}
    out = []
    for variant in variants():
        whole = document(variant, bases)
        cases = list(answers(whole, TEXTS))
        rest = {key: value for key, value in whole.items() if key not in ("model", "version", "truncation", "padding") and value is not None}
        out.append({"name": variant["name"], "model": variant["model"], "settings": variant.get("settings", {}), "document": rest, "cases": cases})
    bases = {name: {"type": "BPE", "vocab": model["vocab"], "merges": model["merges"]} for name, model in bases.items()}
    lines = [json.dumps(variant, ensure_ascii=False) for variant in out]
    FILE.write_text('{"models": %s,\n"variants": [\n%s\n]}\n' % (json.dumps(bases, ensure_ascii=False), ",\n".join(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
