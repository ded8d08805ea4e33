"""How a text becomes token ids, and ids words: the files beside a checkpoint, or a plain list of characters.

`tokenizer.json` and a `vocab.txt` of word pieces go to the `tokenizers` library; a `vocab.txt` without pieces
(one entry per symbol, as chemists write) and a list of characters are cut greedily, the longest entry first.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measureflow.errors import BadInput
from measureflow.language.config import read_json
from measureflow.language.strict import quoted

__all__ = ["Library", "Symbols", "Tokeniser", "read_tokeniser"]

LARGEST_FILE = 200_000_000
SPECIAL = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


class Tokeniser(abc.ABC):
    """A map from texts to token ids that can name each id."""

    @abc.abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, with the special tokens that the model was trained with."""

    @abc.abstractmethod
    def word(self, token: int) -> str:
        """Return the word of an id, or the id in digits where there is none."""


class Library(Tokeniser):
    """A tokeniser of the `tokenizers` library, without the truncation and padding its file may ask for."""

    def __init__(self, inner: Any) -> None:
        inner.no_truncation()  # some files cut at 128 tokens and fill up to them
        inner.no_padding()
        self.inner = inner

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        return list(self.inner.encode(text).ids)

    def word(self, token: int) -> str:
        """Return the word (piece) of an id."""
        return self.inner.id_to_token(token) or str(token)


class Symbols(Tokeniser):
    """A vocabulary of whole symbols, cut greedily: at each place the longest entry that fits.

    Where none fits, one bracket `[...]` or else one character is unknown; white space that no entry holds
    separates. A text is put between `[CLS]` and `[SEP]` where the vocabulary has them.
    """

    def __init__(self, words: Sequence[str], special: dict[str, str]) -> None:
        self.words = tuple(words)
        self.ids = {word: token for token, word in enumerate(words) if word}
        self.longest = max(map(len, self.ids), default=0)
        self.spaced = any(any(map(str.isspace, word)) for word in words)
        self.unknown = self.ids.get(special["unk_token"])
        self.first, self.last = (
            [self.ids[s]] if (s := special[n]) in self.ids else [] for n in ("cls_token", "sep_token")
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, or raise `BadInput` for a character that no entry covers."""
        ids, at = [], 0
        while at < len(text):
            ends = range(min(at + self.longest, len(text)), at, -1)
            end = next((end for end in ends if text[at:end] in self.ids), None)
            if end is not None:
                ids.append(self.ids[text[at:end]])
            else:
                close = text.find("]", at) if text[at] == "[" else -1
                end = close + 1 if close > 0 else at + 1
                if self.spaced or not text[at].isspace():
                    ids.append(self.unknown_id(text[at:end]))
            at = end
        return [*self.first, *ids, *self.last]

    def unknown_id(self, piece: str) -> int:
        """Return the id of what is unknown, where the vocabulary has one."""
        if self.unknown is None:
            raise BadInput(f"{quoted(piece)} is not in the vocabulary of {len(self.ids)} symbols; leave it out.")
        return self.unknown

    def word(self, token: int) -> str:
        """Return the symbol of an id."""
        return self.words[token] if token < len(self.words) and self.words[token] else str(token)


def read_tokeniser(folder: Path) -> Tokeniser | None:
    """Return the tokeniser whose files lie in a folder: `tokenizer.json`, else `vocab.txt`, else none.

    Raises:
        BadInput: a file is there but cannot be used.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        from tokenizers import Tokenizer

        limited(path)
        try:
            return Library(Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises bare Exception for whatever a file may hold
            raise BadInput(f"tokenizer.json cannot be read ({error}); fetch it again, or give token ids.") from None
    path = folder / "vocab.txt"
    return from_vocabulary(path) if path.is_file() else None


def limited(path: Path) -> None:
    """Refuse a file too large to be a vocabulary before it is read."""
    if path.stat().st_size > LARGEST_FILE:
        raise BadInput(f"{path.name} has {path.stat().st_size:,} bytes; at most {LARGEST_FILE:,} are read.")


def from_vocabulary(path: Path) -> Tokeniser:
    """Return the tokeniser of a `vocab.txt`: word pieces where entries begin with `##`, else symbols."""
    limited(path)
    try:
        words = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path.name} is not UTF-8 text ({error.reason} at byte {error.start}); fetch it again."
        ) from None
    words = [word.rstrip("\r") for word in (words[:-1] if words[-1] == "" else words)]
    if not any(words):
        raise BadInput(f"{path.name} is empty; fetch it again, or give token ids.")
    options = beside(path, "tokenizer_config.json")
    special = SPECIAL | named(options) | named(beside(path, "special_tokens_map.json"))
    pieces = any(word.startswith("##") and len(word) > 2 for word in words)
    return word_pieces(words, special, options) if pieces else Symbols(words, special)


def beside(path: Path, name: str) -> dict[str, Any]:
    """Return the JSON table of a file that may lie beside another."""
    neighbour = path.with_name(name)
    return read_json(neighbour) if neighbour.is_file() else {}


def named(table: dict[str, Any]) -> dict[str, str]:
    """Return the special tokens that a table names, as a text or under `content`."""
    found = {
        key: value["content"] if isinstance(value := table.get(key), dict) and "content" in value else value
        for key in SPECIAL
    }
    return {key: value for key, value in found.items() if isinstance(value, str)}


def word_pieces(words: list[str], special: dict[str, str], options: dict[str, Any]) -> Tokeniser:
    """Return BERT's tokeniser of a vocabulary of word pieces.

    Lower-casing is as `tokenizer_config.json` says; without it, texts are lowered where no entry has a
    capital letter.
    """
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {word: token for token, word in enumerate(words)}
    missing = [name for name in special.values() if name not in ids]
    if missing:
        raise BadInput(f"vocab.txt has word pieces but no {', '.join(missing)}; fetch it again, or give token ids.")
    ordinary = (word for word in words if not (word.startswith("[") and word.endswith("]")))
    lowered = options.get("do_lower_case")
    inner = Tokenizer(models.WordPiece(vocab=ids, unk_token=special["unk_token"], max_input_chars_per_word=100))
    inner.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=options.get("tokenize_chinese_chars") is not False,
        strip_accents=options.get("strip_accents") if isinstance(options.get("strip_accents"), bool) else None,
        lowercase=lowered if isinstance(lowered, bool) else all(word == word.lower() for word in ordinary),
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    first, last = special["cls_token"], special["sep_token"]
    inner.post_processor = processors.BertProcessing((last, ids[last]), (first, ids[first]))
    brackets = [*special.values(), *(word for word in ("[PAD]", "[MASK]") if word in ids)]
    inner.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in dict.fromkeys(brackets)])
    return Library(inner)
