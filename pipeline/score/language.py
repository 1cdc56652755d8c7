"""Language identification by py3langid."""

from py3langid.langid import MODEL_FILE, LanguageIdentifier

MIN_WORDS = 3
MIN_PROBABILITY = 0.5


class TextLanguage:
    """Identifies the language of a text with the model that py3langid ships."""

    def __init__(self) -> None:
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def __call__(self, text: str) -> str | None:
        """Return the ISO 639-1 code; None below `MIN_WORDS` or `MIN_PROBABILITY`."""
        words = [word for word in text.split() if any(letter.isalpha() for letter in word)]
        if len(words) < MIN_WORDS:
            return None
        code, probability = self._identifier.classify(" ".join(words))
        return str(code) if probability >= MIN_PROBABILITY else None
