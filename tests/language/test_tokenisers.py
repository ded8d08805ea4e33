"""From texts to ids and words: the library's files, word pieces, and symbols cut greedily."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from measureflow import BadInput
from measureflow.language import load
from measureflow.language.tokenisers import SPECIAL, Symbols, read_tokeniser

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "flow", "the", "##s", "mov", "##es", ",", "caf", "##e"]
SYMBOLS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "C", "Cl", "c", "1", "(", ")", "=", "O", ">>", "[C@@H]", "N", "."]


def words(tokeniser, text):
    return [tokeniser.word(token) for token in tokeniser.encode(text)]


@pytest.fixture
def vocabulary(tmp_path):
    def make(entries, **options):
        (tmp_path / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
        if options:
            (tmp_path / "tokenizer_config.json").write_text(json.dumps(options))
        return read_tokeniser(tmp_path)

    return make


def test_word_pieces_are_cut_as_bert_cuts_them(vocabulary):
    cut = words(vocabulary(PIECES), "The flows, a Café moves!")
    assert cut == ["[CLS]", "the", "flow", "##s", ",", "a", "caf", "##e", "mov", "##es", "[UNK]", "[SEP]"]


def test_special_tokens_in_a_text_stay_whole(vocabulary):
    assert words(vocabulary(PIECES), "a [MASK] flow") == ["[CLS]", "a", "[MASK]", "flow", "[SEP]"]


def test_capitals_are_kept_where_the_vocabulary_or_the_options_say_so(vocabulary):
    assert "The" in words(vocabulary([*PIECES, "The"]), "The flow")
    assert "[UNK]" in words(vocabulary(PIECES, do_lower_case=False), "The flow")
    assert "the" in words(vocabulary([*PIECES, "The"], do_lower_case=True), "The flow")


def test_word_pieces_without_special_tokens_are_refused(vocabulary):
    with pytest.raises(BadInput, match=r"no \[UNK\], \[CLS\], \[SEP\]"):
        vocabulary(["a", "##b"])


def test_symbols_are_cut_greedily(vocabulary):
    cut = words(vocabulary(SYMBOLS), "ClC(=O)c1c[C@@H]>>N.Cl")
    assert " ".join(cut) == "[CLS] Cl C ( = O ) c 1 c [C@@H] >> N . Cl [SEP]"


def test_an_unknown_bracket_is_one_token_and_an_unknown_character_another(vocabulary):
    assert " ".join(words(vocabulary(SYMBOLS), "C[Xe]C")) == "[CLS] C [UNK] C [SEP]"
    assert " ".join(words(vocabulary(SYMBOLS), "C?!C")) == "[CLS] C [UNK] [UNK] C [SEP]"
    assert " ".join(words(vocabulary(SYMBOLS), "C[C")) == "[CLS] C [UNK] C [SEP]"


def test_white_space_separates_unless_it_is_a_symbol(vocabulary):
    assert " ".join(words(vocabulary(SYMBOLS), "C l\nO")) == "[CLS] C [UNK] O [SEP]"
    assert words(Symbols(["a", " "], SPECIAL), "a a") == ["a", " ", "a"]


@given(text=st.text(st.sampled_from("ClcO1()=>N.[@H]Xe \n"), max_size=40))
def test_symbols_lose_nothing_but_white_space(text):
    tokeniser = Symbols([*SYMBOLS, "[", "]", "@", "H", "l", ">", "X", "e"], SPECIAL)
    assert "".join(words(tokeniser, text)[1:-1]) == "".join(text.split())


def test_names_of_special_tokens_come_from_the_files_beside(tmp_path):
    (tmp_path / "vocab.txt").write_text("<u>\n<s>\n</s>\nC\n")
    special = {"unk_token": {"content": "<u>"}, "cls_token": "<s>", "sep_token": "</s>"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    assert words(read_tokeniser(tmp_path), "C?") == ["<s>", "C", "<u>", "</s>"]


def test_truncation_and_padding_of_a_file_are_switched_off(tmp_path):
    inner = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.enable_truncation(3)
    inner.enable_padding(length=8)
    inner.save(str(tmp_path / "tokenizer.json"))
    assert words(read_tokeniser(tmp_path), "a b a a a") == ["a", "[UNK]", "a", "a", "a"]
    assert words(read_tokeniser(tmp_path), "a") == ["a"]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("tokenizer.json", b"{", "tokenizer.json cannot be read"),
        ("tokenizer.json", b'{"version": "1.0", "model": {"type": "Nonsense"}}', "tokenizer.json cannot be read"),
        ("vocab.txt", b"\xff\xfe", "vocab.txt is not UTF-8"),
        ("vocab.txt", b"\n\n", "vocab.txt is empty"),
    ],
)
def test_damaged_vocabularies_are_refused_in_one_line(copy, file, content, message):
    folder = copy("tiny-bert")
    (folder / file).write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_an_id_without_a_word_shows_its_digits(vocabulary):
    assert vocabulary(SYMBOLS).word(99) == "99"
    assert vocabulary(PIECES).word(99) == "99"
