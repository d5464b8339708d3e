"""One small model, from text to a folder that `AutoModelForMaskedLM.from_pretrained` loads.

    python examples/train_and_export.py FOLDER [OUT] [STEPS]

The layout `roberta` is one that transformers knows by itself, so the exported folder holds no code.
"""

import sys
from pathlib import Path

from lilliput.architecture import ModelConfig
from lilliput.language import CorpusSettings, Source, build_corpus, build_vocabulary
from lilliput.study.publishing.export import export_run
from lilliput.tokenization import TokenizerSettings, encode_corpus, open_store, train_tokenizer
from lilliput.training import RunConfig, TrainingConfig, train


def main(texts: str, out: str = "my-model", steps: int = 500, vocab_size: int = 1000) -> Path:
    """The folder of the exported model; corpus, tokenizer and run lie beside it in `out`."""
    root = Path(out)
    source = Source(path=texts, text_unit="section")
    settings = CorpusSettings(min_words=12, validation_share=0.1, test_share=0.0)
    build_corpus([source], build_vocabulary([source], coverage=0.98), root / "corpus", settings)
    tokenizer = root / "tokenizers" / f"byte-bpe-{vocab_size}"
    train_tokenizer(
        root / "corpus", tokenizer, TokenizerSettings(kind="byte-bpe", vocab_size=vocab_size)
    )
    encode_corpus(root / "corpus", tokenizer, root / "tokens")

    training = TrainingConfig(
        max_steps=steps,
        max_seq_length=64,
        global_batch_size=16,
        learning_rate=2e-3,
        mlm_probability=0.3,
    )
    model = ModelConfig.for_layout(
        "roberta",
        vocab_size=open_store(root / "tokens").vocab_size,
        max_seq_length=training.max_seq_length,
        embedding_size=64,
        hidden_size=64,
        intermediate_size=256,
        num_attention_heads=4,
        num_hidden_layers=2,
    )
    result = train(RunConfig(model=model, training=training, seed=0), root / "tokens", root / "run")
    print(
        f"loss {result.loss:.3f} nats a predicted token; token frequencies alone give {result.unigram_entropy:.3f}"
    )
    exported = export_run(root / "run", root / "exported", tokenizer=tokenizer)
    print(f"{exported.path}, layout {exported.layout}")
    return exported.path


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:3], *map(int, sys.argv[3:4]))
