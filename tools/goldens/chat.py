"""Tokenisation, chat templates and loss masks, as transformers, tokenizers and jinja2 make them.

    python chat.py TEMPLATES        # a folder of *.jinja filesof models that are widely used

Writes data/chat/: tokenizer.json (byte-level BPE with SmolLM's pre-tokenizer and ChatML's tokens, trained on the texts
below), golden.json.
"""

import datetime
import sys
from pathlib import Path

import transformers.utils.chat_template_utils as chat
from common import fresh_folder, versions, write_json
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "",
    " ",
    "  two  spaces   three ",
    "\n\n\ttab\nlines\r\nwindows\n",
    "Hello, world! It's 2024; we've 1234567 reasons, don't we?",
    "Name three colours. Red, blue and yellow are the three primary colours.",
    "The quick brown fox jumps over the lazy dog; the lazy dog does not mind the quick fox.",
    "def add(a, b):\n    return a + b  # the sum\n",
    "https://example.org/path?query=1&other=two#fragment",
    "naïve café, Zürich, ÆØÅ, e\u0301 decomposed",
    "你好，世界。请用中文回答：什么是人工智能？人工智能是计算机科学的一个分支。",
    "Привет, мир! 123",
    "🙂🙃 family 👨‍👩‍👧‍👦 flags 🇨🇭",
    "<|im_start|>user\nquoted<|im_end|>",
    "a<|im_end|> b <|endoftext|>",
    "\u00a0no-break\u3000ideographic\u200bzero",
]

CONVERSATIONS = {
    "single": [("user", "What is 2 + 2?"), ("assistant", "It is 4.")],
    "system": [("system", "Answer briefly."), ("user", "Name a colour."), ("assistant", "Red")],
    "multi": [
        ("user", "Hi"),
        ("assistant", "Hello! How can I help?"),
        ("user", "请用中文说你好。"),
        ("assistant", "你好！🙂"),
        ("user", "Thanks"),
        ("assistant", "You're welcome."),
    ],
    "spaces": [("user", "  padded \n"), ("assistant", "\n answer with space around \n\n")],
    "system-multi": [
        ("system", "You are terse."),
        ("user", "One?"),
        ("assistant", "1"),
        ("user", "Two?"),
        ("assistant", "2"),
    ],
    "repeated": [("user", "same"), ("assistant", "same"), ("user", "same"), ("assistant", "same")],
    "thinking": [
        ("user", "2 + 3?"),
        ("assistant", "<think>\nAdd them.\n</think>\n\n5"),
        ("user", "And 4 + 4?"),
        ("assistant", "<think>\nAdd.\n</think>\n\n8"),
    ],
    "open": [("user", "A question without an answer")],
}

# ChatML with the block that tells transformers what the assistant wrote: content and the token that ends the turn.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


class FixedDate(datetime.datetime):
    """The day on which every template is rendered."""

    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def train() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[AddedToken(t, special=True) for t in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")],
    )
    tokenizer.train_from_iterator(TEXTS + [m[1] for c in CONVERSATIONS.values() for m in c], trainer)
    return tokenizer


def messages(conversation):
    return [{"role": role, "content": content} for role, content in conversation]


def render(template: str, conversation, add_generation_prompt: bool):
    """The text, or null where the template refuses the conversation."""
    try:
        texts, _ = chat.render_jinja_template(
            [messages(conversation)], chat_template=template, add_generation_prompt=add_generation_prompt, **SPECIAL
        )
        return texts[0]
    except Exception as error:
        print("refused:", type(error).__name__, error, file=sys.stderr)
        return None


def masks(tokenizer: Tokenizer) -> dict:
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    found = {}
    for name, conversation in CONVERSATIONS.items():
        got = fast.apply_chat_template(
            messages(conversation), chat_template=CHATML, tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        found[name] = {"ids": list(got["input_ids"]), "mask": list(got["assistant_masks"])}
    return found


def main() -> None:
    chat.datetime = FixedDate
    templates = sorted(Path(sys.argv[1]).glob("*.jinja"))
    folder = fresh_folder("chat")
    tokenizer = train()
    tokenizer.save(str(folder / "tokenizer.json"))
    encoded = [
        {"text": text, "ids": (ids := tokenizer.encode(text).ids), "decoded": tokenizer.decode(ids, skip_special_tokens=False)}
        for text in TEXTS
    ]
    rendered = {
        path.name: {
            name: {"plain": render(source, c, False), "prompt": render(source, c, True)} for name, c in CONVERSATIONS.items()
        }
        for path in templates
        if (source := path.read_text(encoding="utf-8"))
    }
    write_json(
        folder / "golden.json",
        {
            "versions": versions("transformers", "tokenizers", "Jinja2"),
            "special": SPECIAL,
            "conversations": {name: messages(c) for name, c in CONVERSATIONS.items()},
            "encoded": encoded,
            "chatml": CHATML,
            "masks": masks(tokenizer),
            "rendered": rendered,
        },
    )


main()
