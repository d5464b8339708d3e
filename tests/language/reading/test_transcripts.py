"""Child-directed speech: CHAT marks, speakers, ages."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lilliput.core.errors import InputError
from lilliput.language import (
    CorpusSettings,
    VocabularySettings,
    build_corpus,
    build_vocabulary,
    iter_documents,
    make_vocabulary,
)
from lilliput.language.reading.chat import clean_chat, parse_chat
from lilliput.language.reading.speakers import parse_age

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
    found = parse_chat(CHAT)
    assert [(u.speaker.code, u.text) for u in found.utterances] == [
        ("MOT", "where is the big dog?"),
        ("CHI", "doggie gone."),
        ("MOT", "that's a choo choo, isn't it?"),
        ("MOT", "go."),
    ]
    assert found.child_age_months == pytest.approx(30 + 15 / 30.4375)


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
    assert clean_chat(said) == (clean, None)


DAYS = 15 / 30.4375


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("2;06.00", 30), ("2;03.15", 27 + DAYS), ("2;3.15", 27 + DAYS), ("2;03,15", 27 + DAYS),
        ("2;3.", 27), ("2;03", 27), ("2;", 24), ("1;", 12), ("0;11.", 11), (";11.", 11), ("~2;0", 24),
        ("2;06.?", 30), ("P2Y3M15D", 27 + DAYS), ("P27M", 27), ("27 months", 27), ("27m", 27), ("27mo.", 27),
        ("2 years 3 months", 27), ("2 years, 3 months old", 27), ("2y3m", 27), ("2y3m15d", 27 + DAYS),
        ("2 yrs", 24), ("3", 36), ("27", None), ("", None), (";", None), ("adult", None), ("2;00-2;06", None),
    ],
)  # fmt: skip
def test_ages(text: str, months: float | None) -> None:
    assert parse_age(text) == (months if months is None else pytest.approx(months))


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
    assert row["text"] == "where is the big dog?\nthat's a choo choo, isn't it?\ngo."


ROLES = """@UTF8
@Begin
@Languages:\teng, spa
@Participants:\tROS Rosa Target_Child, KAT Child, SUE Sister, TOM Tom Brother, ANN Playmate,
\tMOT Mother, INV Carla_Diaz Investigator, TVX Media, STU Student, GRO Participant
@ID:\teng|Made|ROS|2;03.10|female|||Target_Child|||
@ID:\teng|Made|SUE|20;01.|female|||Sister|||
@ID:\teng|Made|STU|19;|||| Student|||
@ID:\teng|Made|GRO|7;02.|||| Participant|||
*ROS:\tdoggie gone .
*KAT:\ttruck all .
*SUE:\tsister word .
*TOM:\tbrother word .
*ANN:\tplaymate word .
*MOT:\tcome .
*INV:\there .
*TVX:\tmedia word .
*STU:\tstudent .
*GRO:\tpupil .
*CHI:\tstranger .
*MOT:\t[- spa] ven aqui .
*MOT:\tabuela@s:spa sings .
*MOT:\txxx .
@End
"""


def test_roles_come_from_the_headers_and_never_from_the_code(tmp_path: Path) -> None:
    (tmp_path / "a.cha").write_text(ROLES, encoding="utf-8")
    assert set(build_vocabulary([tmp_path]).words) == {"come", "here", "student", "sings"}
    children = set(build_vocabulary([tmp_path], speakers="children").words)
    assert children == {
        "doggie",
        "gone",
        "truck",
        "all",
        "sister",
        "word",
        "brother",
        "playmate",
        "pupil",
    }
    everybody = build_vocabulary([tmp_path], speakers="all")
    assert {"media", "stranger"} <= set(everybody.words)


def test_the_build_says_what_it_kept_and_why_not_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.cha").write_text(ROLES, encoding="utf-8")
    (folder / "b.cha").write_text(CHAT.replace("2;06.15", "unclear"), encoding="utf-8")
    said = make_vocabulary([folder], tmp_path / "v.csv")["transcripts"]
    assert said["files"] == 2
    assert said["speakers"]["Mother"] == 2
    assert said["speakers"]["(no role)"] == 1
    assert said["child_age_months"] == [pytest.approx(27 + 10 / 30.4375)] * 2
    assert (said["without_age"], said["unread_ages"]) == (1, {"unclear": 1})
    assert (said["utterances"], said["kept"]) == (18, 7)
    assert said["dropped"] == {
        "no_words": 1, "other_language": 1, "other_speakers": 8, "speaker_without_role": 1,
    }  # fmt: skip
    (folder / "c.cha").write_bytes(b"*MOT:\tdog \xff .\n")  # Damaged: no transcript was read.
    skipped = make_vocabulary([folder], tmp_path / "s.csv", VocabularySettings(on_error="skip"))
    assert (skipped["damaged_input"], skipped["transcripts"]["files"]) == ({"invalid_utf8": 1}, 2)
    (folder / "c.cha").unlink()
    young = make_vocabulary([folder], tmp_path / "w.csv", VocabularySettings(max_age_months=30))
    assert young["transcripts"]["dropped"]["age_unknown"] == 3
    with pytest.raises(InputError, match="none of them kept.*child too old"):
        build_vocabulary([folder / "a.cha"], max_age_months=12)


def test_a_table_with_siblings_counts_them_as_children(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "speaker_role,speaker_code,gloss,target_child_age\n"
        "Sister,SIS,gimme,NA\nMother,MOT,null nan xxx,12.5\nTarget_Child,CHI,mine,12.5\n,FAT,hm,\n"
    )
    words = build_vocabulary([tmp_path / "t.csv"])
    assert dict(zip(words.words, words.ages or (), strict=True)) == {"nan": 12.5, "null": 12.5}
    assert set(build_vocabulary([tmp_path / "t.csv"], speakers="children").words) == {
        "gimme",
        "mine",
    }


def test_a_corpus_of_transcripts_holds_adults_and_reports_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number}.cha").write_text(ROLES.replace("come .", f"come {'go ' * number}."))
    vocabulary = build_vocabulary([folder])
    settings = CorpusSettings(min_words=1, validation_share=0, test_share=0)
    facts = build_corpus([folder], vocabulary, tmp_path / "corpus", settings)
    assert facts["transcripts"]["files"] == 30
    assert facts["transcripts"]["kept"] == 30 * 4
    assert "word" not in {w for b in iter_documents([folder]) for w in " ".join(b["text"].to_pylist()).split()}  # fmt: skip


def test_an_age_can_be_told_by_birth_and_date() -> None:
    text = "@Participants:\tCHI Target_Child\n@Birth of CHI:\t01-JAN-2020\n@Date:\t01-JAN-2022\n*CHI:\thi .\n"
    assert parse_chat(text).child_age_months == pytest.approx(24, abs=0.05)
    assert (
        parse_chat("@Participants:\tCHI Target_Child\n@Age of CHI:\t1;06.\n").child_age_months == 18
    )
