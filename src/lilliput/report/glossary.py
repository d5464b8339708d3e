"""Explain each word of the report in a sentence or two: tooltips, a page, the documentation."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """Explain one word of the report.

    Attributes:
        name: The word as the glossary lists it.
        meaning: What it means, for a reader who knows no more than what a language model is.
        forms: Other spellings under which the pages use it.
    """

    name: str
    meaning: str
    forms: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Return the name of its place in the page."""
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


GLOSSARY: tuple[Term, ...] = (
    Term("token", "A piece of text that the model reads as one unit: a word or a part of one.", ("tokens",)),
    Term("predicted token", "A token that the model must guess. The loss is a mean over these tokens alone.", ("predicted tokens",)),
    Term("loss", "How surprised the model is, on average, by the token that really stands there, in nats. Lower is better; 0 is certainty.", ("final loss", "losses")),
    Term("nat", "The unit of the loss, with the natural logarithm. One nat less means that the right token got 2.7 times the probability.", ("nats",)),
    Term("perplexity", "The exponential of the loss: among how many equally likely tokens the model hesitates."),
    Term("bits per byte", "The loss for each byte of text instead of each token, in bits. Unlike the loss it can be compared between tokenizers."),
    Term("unigram entropy", "The loss of a model that knows only how frequent each token is and ignores all context. A model below it uses context."),
    Term("plateau", "The stretch of training in which the loss stands near the unigram entropy, before the model learns to use context."),
    Term("tokenizer", "The rule that cuts text into tokens, trained on a corpus.", ("tokenizers",)),
    Term("sub-tokens a word", "Into how many tokens a word is cut on average, also called fertility. 1 means that no word is cut.", ("fertility", "sub-tokens")),
    Term("byte-level BPE", "A tokenizer that begins with bytes and joins the most frequent pairs again and again.", ("byte-bpe",)),
    Term("WordPiece", "A tokenizer that joins the pairs that make the text most probable; BERT uses it.", ("wordpiece",)),
    Term("Unigram", "A tokenizer that begins with many pieces and drops those that the text needs least."),
    Term("boundary F1", "How well the cuts of a tokenizer agree with the parts of words that linguists mark; 1 is full agreement."),
    Term("exact match", "The share of words that a tokenizer cuts exactly as linguists do."),
    Term("vocabulary", "The list of words that the constrained language allows, or, of a tokenizer, its list of tokens."),
    Term("word profile", "The rule that says what counts as a word when texts are filtered: paper, cpp or modern.", ("word profiles",)),
    Term("constrained language", "Text cut down to passages that use allowed words only.", ("constrained",)),
    Term("unconstrained language", "Ordinary text of the same size, for comparison.", ("unconstrained",)),
    Term("span", "A passage of a fixed number of words; the filter keeps or drops it as a whole.", ("spans",)),
    Term("held-out text", "Text that no model was trained on, kept for measuring.", ("held-out",)),
    Term("parameters", "The numbers that training adjusts; how many there are is the size of a model.", ("parameter",)),
    Term("parameters without embeddings", "The size without the tables that turn tokens into vectors. In small models those tables are most of the size."),
    Term("shape", "The five sizes of a model, written E/H/I/A/L: embedding width, hidden width, feed-forward width, attention heads, layers.", ("shapes",)),
    Term("layers", "How many times the model works over the text, one layer on the output of the one before.", ("layer",)),
    Term("attention heads", "The parts of a layer that each look at other tokens in their own way.", ("heads",)),
    Term("hidden width", "How many numbers stand for each token inside the model.", ("hidden size",)),
    Term("masked language model", "A model that sees a text with some tokens hidden and guesses those.", ("masked language models",)),
    Term("causal language model", "A model that reads from left to right and guesses each next token."),
    Term("step", "One adjustment of the parameters, from one batch of text.", ("steps",)),
    Term("learning rate", "How far a step moves the parameters. Too small wastes training, too large breaks it.", ("learning rates",)),
    Term("seed", "The number that starts all random choices. Runs that differ in it alone show how much chance matters.", ("seeds",)),
    Term("training profile", "A set of choices in training. “reference” follows the published code with its defects, “corrected” follows the paper's words.", ("profile",)),
    Term("FLOPs", "Floating-point operations: additions and multiplications, the usual measure of how much computing a training took."),
    Term("FLOPs convention", "The rule by which operations are counted. At small sizes conventions differ by factors, so each count names its own.", ("convention", "conventions")),
    Term("6ND", "The usual estimate of training cost: six operations for each parameter and each token."),
    Term("frontier", "The lowest loss that was reached at each amount of compute, over all models and all moments of training.", ("compute-optimal frontier",)),
    Term("power law", "A curve y = a·x^b: a straight line when both axes are logarithmic."),
    Term("exponent", "The steepness of a power law. With 0.1, twice the compute lowers the loss by 7 %.", ("exponents",)),
    Term("break", "A point at which a power law changes its exponent.", ("breaks",)),
    Term("BIC", "A score for comparing laws that charges for each free parameter. Smaller is better; differences below 2 mean nothing."),
    Term("R²", "The share of the variation that a law explains; 1 is all of it."),
    Term("95 % interval", "A range that holds the true value in 95 of 100 repetitions of the whole study, if its assumptions hold.", ("intervals", "interval")),
    Term("draws", "Repetitions of a calculation on runs drawn at random, with replacement, from those at hand: the bootstrap. Their spread gives the interval.", ("bootstrap", "drawing runs", "drawing whole runs")),
    Term("pre-training", "Training on plain text, before any task.", ("pre-trained",)),
    Term("fine-tuning", "Further training of a model on one task with labelled examples.", ("fine-tuned",)),
    Term("gain", "The score of a model fine-tuned from its pre-trained weights minus its score from its initial weights.", ("gains",)),
    Term("initial weights", "The random parameters that a model starts with, before any training."),
    Term("most frequent label", "The score of always giving the commonest answer: what chance gives."),
    Term("minimal pair", "Two sentences that differ in one place, one right and one wrong; the model should find the right one more probable.", ("minimal pairs", "BLiMP")),
    Term("Spearman's ρ", "How well two rankings agree: 1 the same, −1 opposite, 0 unrelated.", ("Spearman",)),
    Term("Holm's correction", "A stricter test where many comparisons are made, so that chance alone is not taken for a finding."),
    Term("efficient", "No other shape, and no mix of two, is as good for less.", ("efficient shapes",)),
    Term("dominated", "A cheaper shape is at least as good."),
    Term("ICER", "Incremental cost-effectiveness ratio: what one unit of improvement costs on the way from one efficient shape to the next."),
    Term("acceptability", "How often each shape is the best choice when seeds are drawn anew, by the price one is willing to pay."),
    Term("value of information", "The most that it could be worth to know for certain which shape is best."),
    Term("artefact", "A folder that holds one result with a manifest: what it was made from, and hashes of its files.", ("artefacts",)),
    Term("content hash", "A short fingerprint of a file's bytes. The same hash means the same bytes."),
)  # fmt: skip
