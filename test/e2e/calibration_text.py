#!/usr/bin/env python3
"""What models are calibrated on: conversations, compressed files, tables, datasets by name. Statistics tell whether two texts are read as
the same tokens.

    test/e2e/calibration_text.py BIN
"""
import gzip
import json
import os
import pathlib
import shutil
import sys

import pyarrow
import pyarrow.parquet
import tokenizers

from harness import DEMO, Case, main

# As transformers' documentation shows ChatML.
CHATML = """{%- for message in messages %}
    {{- bos_token + message['role'] }}
    {{- '\n' + message['content'] | trim + eos_token + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- bos_token + 'assistant\n' }}
{%- endif %}
"""
CONVERSATIONS = [
    [{"role": "user", "content": " Tell me a story. "}, {"role": "assistant", "content": "Once upon a time there was a fox."}],
    [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello!"}],
]
WRITTEN = [
    "<|begin|>user\nTell me a story.<|end|>\n<|begin|>assistant\nOnce upon a time there was a fox.<|end|>\n",
    "<|begin|>system\nBe kind.<|end|>\n<|begin|>user\nHello!<|end|>\n",
]
STORY = "Once upon a time there was a fox. The fox lived near the orchard.\n"


class CalibrationText(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The Python that has what scripts/requirements.txt names.
        cls.environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
        cls.environment["HF_HUB_CACHE"] = str(cls.folder / "hub")
        cls.model = cls.with_template("chat", CHATML)

    @classmethod
    def with_template(cls, name, template):
        folder = cls.folder / name
        shutil.copytree(DEMO, folder)
        (folder / "chat_template.jinja").write_text(template)
        return folder

    def lines(self, name, objects):
        path = self.folder / name
        path.write_text("".join(json.dumps(each) + "\n" for each in objects))
        return path

    def calibrate(self, text, model=None, length=64):
        return ["calibrate", model or self.model, "--calib", text, "--calib-length", str(length), "--no-hessian", "-o", "out.safetensors"]

    def statistics(self, text, **options):
        self.done(*self.calibrate(text, **options))
        return (self.folder / "out.safetensors").read_bytes()

    def conversations(self):
        return self.lines("conversations.jsonl", [{"messages": each} for each in CONVERSATIONS])

    def test_conversations(self):
        tokenizer = tokenizers.Tokenizer.from_file(str(DEMO / "tokenizer.json"))
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in WRITTEN]
        self.assertTrue(all(each[0] == 0 and 1 in each for each in ids), ids)
        for length in (64, 9):
            expected = self.statistics(self.lines("ids.jsonl", [{"input_ids": each} for each in ids]), length=length)
            self.assertEqual(self.statistics(self.conversations(), length=length), expected)
        mixed = self.lines("mixed.jsonl", [{"messages": CONVERSATIONS[0]}, {"input_ids": ids[1]}])
        self.assertEqual(self.statistics(mixed), self.statistics(self.conversations()))

    def test_templates_are_not_trusted(self):
        refused = {
            "{{ raise_exception('roles must alternate') }}": "conversation 1: roles must alternate",
            "{{ messages.__class__.__mro__ }}": "conversation 1: access to attribute '__class__'",
            "{% include '/etc/passwd' %}": "conversation 1: no loader",
            "{% for": "conversation 1: ",
            "{{ messages.append(1) }}": "conversation 1: ",
            "{% for i in range(100000) %}{{ 'x' * 10000 }}{% endfor %}": "longer than 67108864 characters",
            "{{ 'x' * 100000000000 }}": "python3: ",
        }
        for number, (template, says) in enumerate(refused.items()):
            model = self.with_template(f"refused-{number}", template)
            self.refused(*self.calibrate(self.conversations(), model=model), says=["conversations.jsonl", says])
        self.refused(*self.calibrate(self.conversations(), model=DEMO), says=["conversations.jsonl", "need a chat template"])
        for line in ({"messages": "hello"}, {"messages": []}, {"conversation": []}):
            self.refused(*self.calibrate(self.lines("bad.jsonl", [line])), says="bad.jsonl")

    def test_without_python(self):
        (self.folder / "empty").mkdir()
        environment = self.environment | {"PATH": str(self.folder / "empty")}
        self.refused(*self.calibrate(self.conversations()), says="python3: it cannot be started", env=environment)

    def test_shortest_sequences(self):
        """As long as the tokenizer's prefix alone: a token of the text each."""
        (self.folder / "short.txt").write_text(STORY)
        found = self.result(*self.calibrate(self.folder / "short.txt", length=1))
        self.assertEqual(found["tokens"], found["sequences"])
        self.assertGreater(found["distinct_tokens"], 1)

    def test_compressed(self):
        text = self.folder / "story.txt"
        text.write_text(STORY * (200_000 // len(STORY)))  # more than is read at once
        (self.folder / "story.txt.gz").write_bytes(gzip.compress(text.read_bytes()))
        self.assertEqual(self.statistics("story.txt.gz"), self.statistics(text))
        lines = self.lines("story.jsonl", [{"text": STORY}] * 40)
        for name in ("story.jsonl.gz", "story.json.gz"):
            (self.folder / name).write_bytes(gzip.compress(lines.read_bytes()))
            self.assertEqual(self.statistics(name), self.statistics(lines))
        (self.folder / "cut.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes())[:60])
        self.refused(*self.calibrate("cut.jsonl.gz"), says="cut.jsonl.gz: is damaged")

    def test_tables(self):
        rows = ["", " = Title = \n", STORY, STORY, ""] * 10
        joined = self.lines("joined.jsonl", [{"text": "\n\n".join(rows)}])
        table = pyarrow.table({"text": rows})
        pyarrow.parquet.write_table(table, self.folder / "t.parquet")
        with pyarrow.ipc.new_stream(self.folder / "t.arrow", table.schema) as stream:
            stream.write_table(table)
        for name in ("t.parquet", "t.arrow"):
            self.assertEqual(self.statistics(name), self.statistics(joined))
            (self.folder / name).write_bytes((self.folder / name).read_bytes()[:100])
            self.refused(*self.calibrate(name), says=name)
        pyarrow.parquet.write_table(pyarrow.table({"words": rows}), self.folder / "w.parquet")
        self.refused(*self.calibrate("w.parquet"), says="w.parquet")

    def test_datasets_by_name(self):
        self.refused(*self.calibrate("c4"), says=["the dataset c4 does not lie in", "c4-train.00000-of-01024.json.gz"], status=2)
        self.refused(*self.calibrate("c5"), says="c5")
        folder = self.folder / "hub/datasets--allenai--c4/snapshots/1588ec454efa1a09f29cd18ddd04fe05fc8653a2/en"
        folder.mkdir(parents=True)
        lines = self.lines("c4.jsonl", [{"text": STORY, "url": "x", "timestamp": "y"}] * 40)
        (folder / "c4-train.00000-of-01024.json.gz").write_bytes(gzip.compress(lines.read_bytes()))
        self.assertEqual(self.statistics("c4"), self.statistics(lines))
        folder = self.folder / "hub/datasets--Salesforce--wikitext/snapshots/b08601e04326c79dfdd32d625aee71d232d685c3/wikitext-2-raw-v1"
        folder.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.table({"text": [STORY] * 40}), folder / "train-00000-of-00001.parquet")
        self.assertEqual(self.statistics("wikitext2"), self.statistics(self.lines("w.jsonl", [{"text": "\n\n".join([STORY] * 40)}])))


if __name__ == "__main__":
    main()
