"""Word profiles: versioned data that say what a word is, and hence what survives the filter.

`paper` is the rule of arXiv 2305.17266 (scikit-learn's CountVectorizer pattern after three
replacements), `cpp` that of arXiv 2404.02204, and `modern` reads corpus and vocabulary alike.
`docs/language.md` holds a table of examples, which the tests read.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from lilliput.core.errors import ConfigurationError
from lilliput.core.settings import Settings
from lilliput.language.words.text_form import CharacterForm, TextForm

ProfileName = Literal["paper", "cpp", "modern"]

# Typewriter, typographic, modifier letter and full-width forms of one sign.
APOSTROPHES = "'’ʼ＇"

# Bytes that separate words in the follow-up's filter; all others, `_` and every non-ASCII byte
# included, belong to words.
CPP_DELIMITERS = " .,:;?!\n\t-()[]{}=<>\"'&^%$#@*+/|\\~"


class WordProfile(Settings):
    """A rule of what a word is, with the spans that are asked for unless the user says otherwise."""

    name: ProfileName = Field(description="Name by which the profile is asked for.")
    version: PositiveInt = Field(description="Raised whenever a decision of the profile changes.")
    characters: CharacterForm = Field(
        description="Characters are read as they are written, or composed and without invisible ones (see text_form)."
    )
    letters: Literal["python_word", "not_delimiter", "alphanumeric_and_marks"] = Field(
        description="Characters of words: Python's \\w; all but the follow-up's delimiters; letters, digits and combining marks."
    )
    apostrophes: Literal["separate", "removed"] = Field(
        description="Inside a word an apostrophe separates two words, or is taken out of one."
    )
    numerals: Literal["number", "pass", "looked_up"] = Field(
        description="Leading digits count as the word `number`; digits are a word of their own that always passes; digits are letters like others."
    )
    replaces_links: bool = Field(
        description="From `http` to the next space or hyphen counts as the word `hlink`."
    )
    min_word_length: PositiveInt = Field(
        description="Shorter words are neither counted nor checked, in characters."
    )
    pieces: Literal["single_space", "whitespace"] = Field(
        description="The pieces that span_words counts: what stands between single spaces (which can be empty), or between runs of white space."
    )
    lower_case: bool = Field(description="The stored text is lower-cased.")
    folds_entries: bool = Field(
        description="Vocabulary entries are split by this same profile before look-ups."
    )
    span_shape: Literal["windows", "sentences", "runs"] = Field(
        description="The default shape of spans."
    )
    min_words: PositiveInt = Field(description="The default least number of words of a span.")
    max_unknown_share: float = Field(
        ge=0, le=1, description="The default share of words that may be out of vocabulary."
    )
    source: str = Field(description="Where the rule comes from.")

    @property
    def text_form(self) -> TextForm:
        """Return the form in which a corpus of this profile stores its texts."""
        return TextForm(characters=self.characters, lower_case=self.lower_case)


PROFILES: dict[str, WordProfile] = {
    "paper": WordProfile(
        name="paper",
        version=1,
        characters="as_written",
        letters="python_word",
        apostrophes="separate",
        numerals="number",
        replaces_links=True,
        min_word_length=2,
        pieces="single_space",
        lower_case=True,
        folds_entries=False,
        span_shape="windows",
        min_words=41,
        max_unknown_share=0.0,
        source="arXiv 2305.17266; text-machine-lab/mini_bert, vocab_utils.py, lines 34-44, 67-111",
    ),
    "cpp": WordProfile(
        name="cpp",
        version=1,
        characters="as_written",
        letters="not_delimiter",
        apostrophes="separate",
        numerals="pass",
        replaces_links=False,
        min_word_length=1,
        pieces="whitespace",
        lower_case=False,
        folds_entries=False,
        span_shape="runs",
        min_words=32,
        max_unknown_share=0.01,
        source="arXiv 2404.02204; Guitaricet/filter_vocab_cpp. Departures: a delimiter after a digit separates, a chunk ends at white space",
    ),
    "modern": WordProfile(
        name="modern",
        version=2,
        characters="composed",
        letters="alphanumeric_and_marks",
        apostrophes="removed",
        numerals="looked_up",
        replaces_links=False,
        min_word_length=1,
        pieces="whitespace",
        lower_case=True,
        folds_entries=True,
        span_shape="sentences",
        min_words=32,
        max_unknown_share=0.0,
        source="this project",
    ),
}


def word_profile(name: str) -> WordProfile:
    """Return the profile called `name`.

    Raises:
        ConfigurationError: There is none.
    """
    if name not in PROFILES:
        raise ConfigurationError(
            "the word profile must be known",
            got=repr(name),
            remedy=f"Use one of: {', '.join(PROFILES)}.",
        )
    return PROFILES[name]
