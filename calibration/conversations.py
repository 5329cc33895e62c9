"""Writes conversations out by a model's chat template, as transformers does: {template, bos_token, eos_token, conversations} as JSON on
standard input, a JSON list of texts on standard output. Templates come with models and are not trusted: they run in Jinja's sandbox,
which knows no file and no module, and the program that starts this limits its time and memory."""
import datetime
import json
import sys

LARGEST = 64 << 20  # characters of all texts


def main():
    try:
        from jinja2.exceptions import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        sys.exit("conversations need Python's package jinja2 (Debian: python3-jinja2)")
    given = json.load(sys.stdin)

    def refuse(message):
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    # Templates that write the date get always the same one: what is calibrated must not depend on the day.
    environment.globals.update(raise_exception=refuse, strftime_now=lambda form: datetime.datetime(2024, 7, 26).strftime(form))
    texts, size = [], 0
    try:
        template = environment.from_string(given["template"])
        for messages in given["conversations"]:
            text = ""
            for part in template.generate(messages=messages, bos_token=given["bos_token"], eos_token=given["eos_token"],
                                          add_generation_prompt=False, tools=None, documents=None):
                text += part
                size += len(part)
                if size > LARGEST:
                    sys.exit(f"the texts are longer than {LARGEST} characters")
            texts.append(text)
    except Exception as error:  # whatever a template does wrong
        sys.exit(f"conversation {len(texts) + 1}: " + (str(error).splitlines() or [type(error).__name__])[0])
    json.dump(texts, sys.stdout)


main()
