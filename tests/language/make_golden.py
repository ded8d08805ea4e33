"""Write the golden files of the language tests: hidden states by the transformers library, the reference.

Needs torch and transformers (5.23), which the tests do not. Run it where both are installed:

    python tests/language/make_golden.py [--minilm FOLDER] [--albert-rxn FOLDER]

Without the folders only the tiny random models are written. Each tiny model is saved as transformers saves
it, with all weights drawn at random (norms and biases too, or a forgotten one would not show), beside
`hidden.npz`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
import torch
import transformers

HERE = Path(__file__).parent / "golden"
SIZES = {
    "hidden_size": 24,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}
WORDS = """
    [PAD] [UNK] [CLS] [SEP] [MASK] a the token ##s flow cluster ##ed ##ing measure moves transform ##er layer
    is deep , . ! e m t
""".split()  # noqa: SIM905 (a column of words reads better)
TEXT = "A transformer moves a measure: the tokens of this sentence flow, cluster and slowly forget where they began."
REACTION = "N[C@@H](C)C(=O)O.ClC>>COC=O"
SMILES = re.compile(  # the tokens that the model was trained with
    r"(\%\([0-9]{3}\)|\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|\%[0-9]{2}|[0-9])"
)


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Draw every weight: matrices so that logits are of order one, gains about one, biases not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("bias"):
                weight.copy_(0.3 * noise)
            elif weight.ndim == 1:
                weight.copy_(1.0 + 0.3 * noise)
            else:
                weight.copy_(1.5 * noise / weight.shape[-1] ** 0.5 if "embeddings" not in name else noise)


def hidden_states(model: torch.nn.Module, ids: np.ndarray, present: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Return every hidden state of a batch, (layers + 1, b, n, d), in float32."""
    model.eval()
    model.config._attn_implementation = "eager"
    with torch.no_grad():
        out = model(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor(present).long(),
            token_type_ids=torch.tensor(types),
            output_hidden_states=True,
        )
    return np.stack([state.numpy() for state in out.hidden_states]).astype(np.float32)


def batch(vocabulary: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids, masks and token types: whole, padded right, padded left, and with holes."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, vocabulary, (4, 10))
    present = np.ones((4, 10), bool)
    present[1, 7:] = False
    present[2, :4] = False
    present[3, [0, 3, 4, 8]] = False
    types = np.zeros((4, 10), np.int64)
    types[0, 6:] = 1
    types[3] = rng.integers(0, 2, 10)
    return np.where(present, ids, 0), present, types


def write_tiny(name: str, model: torch.nn.Module, body: str, seed: int) -> None:
    """Save one tiny model with random weights and its hidden states on a batch."""
    randomise(model, seed)
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "model.safetensors").chmod(0o644)
    ids, present, types = batch(model.config.vocab_size, seed)
    states = hidden_states(getattr(model, body) if body else model, ids, present, types)
    np.savez_compressed(folder / "hidden.npz", ids=ids, present=present, types=types, hidden=states)


def write_tiny_models() -> None:
    """Write the four tiny models: two of each family, bare and with a head, exact and approximate GELU."""
    bert = {**SIZES, "vocab_size": len(WORDS), "num_hidden_layers": 3}
    write_tiny("tiny-bert", transformers.BertModel(transformers.BertConfig(**bert)), "", 1)
    (HERE / "tiny-bert" / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    config = transformers.BertConfig(**{**bert, "num_hidden_layers": 2, "hidden_act": "gelu_new"})
    write_tiny("tiny-bert-head", transformers.BertForPreTraining(config), "bert", 2)
    albert = {**SIZES, "vocab_size": 40, "embedding_size": 10, "num_hidden_layers": 4}
    config = transformers.AlbertConfig(**albert, hidden_act="gelu_new")
    write_tiny("tiny-albert-head", transformers.AlbertForMaskedLM(config), "albert", 3)
    config = transformers.AlbertConfig(**albert, hidden_act="gelu", num_hidden_groups=2, inner_group_num=2)
    write_tiny("tiny-albert-groups", transformers.AlbertModel(config), "", 4)


def write_real(name: str, folder: Path, text: str, ids: list[int]) -> None:
    """Write the hidden states of one text through a real model."""
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    row = np.asarray([ids])
    states = hidden_states(model, row, np.ones_like(row, bool), np.zeros_like(row))[:, 0]
    np.savez_compressed(HERE / f"{name}.npz", text=np.asarray(text), ids=row[0], hidden=states)


def main() -> None:
    """Write what the arguments allow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--albert-rxn", type=Path)
    arguments = parser.parse_args()
    HERE.mkdir(exist_ok=True)
    write_tiny_models()
    if arguments.minilm:
        tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.minilm)
        write_real("all-minilm-l6-v2", arguments.minilm, TEXT, tokenizer(TEXT)["input_ids"])
    if arguments.albert_rxn:
        words = (arguments.albert_rxn / "vocab.txt").read_text(encoding="utf-8").splitlines()
        symbols = ["[CLS]", *SMILES.findall(REACTION), "[SEP]"]
        write_real("albert-rxn", arguments.albert_rxn, REACTION, [words.index(symbol) for symbol in symbols])


if __name__ == "__main__":
    main()
