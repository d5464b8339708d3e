"""Words of transcripts, with the age at which the child first met each."""

from __future__ import annotations

from collections import Counter

from lilliput.language.reading.documents import Damage
from lilliput.language.reading.files import InputFile
from lilliput.language.reading.transcripts import Speakers, read_utterances
from lilliput.language.words.profiles import WordProfile
from lilliput.language.words.splitting import split_words


class TranscriptWords:
    """Occurrences of the words of some speakers, and the youngest age at which each was met.

    Args:
        profile: What a word is.
        speakers: Whose words count.
        max_age_months: Only speech with a child up to this age counts.
    """

    def __init__(
        self, profile: WordProfile, speakers: Speakers, max_age_months: float | None
    ) -> None:
        self._profile, self._oldest = profile, max_age_months
        self._speakers: Speakers = speakers
        self.counts: Counter[str] = Counter()
        self.ages: dict[str, float] = {}

    def add(self, file: InputFile, limit: int, damage: Damage) -> None:
        """Count the words of one transcript; what becomes of utterances goes to `damage.transcripts`."""
        for spoken in read_utterances(file, limit, damage):
            if not damage.transcripts.count(spoken.dropped_for(self._speakers, self._oldest)):
                continue
            words = split_words(spoken.text, self._profile)
            self.counts.update(words)
            age = spoken.child_age_months
            if age is not None:
                for word in words:
                    self.ages[word] = min(age, self.ages.get(word, age))
