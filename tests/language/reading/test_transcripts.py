"""Child-directed speech: CHAT marks, speakers, ages."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lilliput.language import build_vocabulary, iter_documents
from lilliput.language.reading.transcripts import clean_chat, parse_age, parse_chat

# The marks are those of the CHAT manual (TalkBank); the sentences are made up.
CHAT = """@UTF8
@Begin
@Participants:\tCHI Adam Target_Child, MOT Mother
@ID:\teng|Made|CHI|2;06.15|male|||Target_Child|||
@ID:\teng|Made|MOT||female|||Mother|||
*MOT:\twhere is the <big> [/] big doggie@f [: dog] ? \x15100_200\x15
%mor:\tadv|where
*CHI:\tdoggie gone .
*MOT:\tthat's a choo+choo ,
\tisn't it &-um (.) [=! laughs] ?
*MOT:\txxx go .
@End
"""


def test_marks_are_taken_out_and_ages_read() -> None:
    utterances = parse_chat(CHAT)
    assert [(u.speaker, u.text) for u in utterances] == [
        ("MOT", "where is the big dog?"),
        ("CHI", "doggie gone."),
        ("MOT", "that's a choo choo, isn't it?"),
    ]
    assert utterances[0].age_months == pytest.approx(30 + 15 / 30.4375)


@pytest.mark.parametrize(
    ("said", "clean"),
    [
        ("put (.) it <on the> [//] in the box .", "put it in the box."),
        ("0is it goin(g) +...", "it going"),
        ("&=laughs .", ""),
        ("yyy", ""),
        ("bird_house [x 3] !", "bird house!"),
    ],
)
def test_cleaning(said: str, clean: str) -> None:
    assert clean_chat(said) == clean


@pytest.mark.parametrize(("text", "months"), [("2;06.00", 30), ("1;", 12), ("3", 36), ("", None)])
def test_ages(text: str, months: float | None) -> None:
    assert parse_age(text) == months


def test_vocabularies_know_speakers_and_first_ages(tmp_path: Path) -> None:
    (tmp_path / "a.cha").write_text(CHAT, encoding="utf-8")
    (tmp_path / "b.cha").write_text(CHAT.replace("2;06.15", "1;06.00"), encoding="utf-8")
    adults = build_vocabulary([tmp_path])
    assert "gone" not in adults
    assert dict(zip(adults.words, adults.ages or (), strict=True))["dog"] == 18
    assert "gone" in build_vocabulary([tmp_path], speakers="all")
    assert set(build_vocabulary([tmp_path], speakers="children").words) == {"doggie", "gone"}
    young = build_vocabulary([tmp_path], max_age_months=20)
    assert young.frequencies[young.words.index("dog")] == 1


def test_a_table_of_utterances_gives_the_same(tmp_path: Path) -> None:
    columns = {
        "speaker_role": ["Mother", "Target_Child", "Mother"],
        "text": ["a dog .", "dog gone .", "the dog ."],
        "target_child_age_days": [365.25, 400.0, 730.5],
    }
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    vocabulary = build_vocabulary([tmp_path / "t.parquet"])
    ages = dict(zip(vocabulary.words, vocabulary.ages or (), strict=True))
    assert ages == {"dog": 12.0, "a": 12.0, "the": 24.0}
    assert vocabulary.frequencies == (2, 1, 1)


def test_a_transcript_is_a_document_of_what_adults_said(tmp_path: Path) -> None:
    (tmp_path / "a.cha").write_text(CHAT, encoding="utf-8")
    (row,) = [r for batch in iter_documents([tmp_path]) for r in batch.to_pylist()]
    assert row["text"] == "where is the big dog?\nthat's a choo choo, isn't it?"
