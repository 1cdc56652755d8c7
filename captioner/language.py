"""Languages of texts, identified by py3langid with the model that it ships."""

from collections.abc import Mapping
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from captioner.phrasebook import without_quotes

MIN_WORDS = 3
MIN_PROBABILITY = 0.5
_OTHER, _EXPECTED = 0.5, 0.01
"""A text is in another language if that has at least the first probability, and the expected one less than
the second."""
_MIN_LETTERS = 16
"""Letters of a text whose language is judged."""
_NAMES: Mapping[str, str] = {
    "af": "Afrikaans",
    "am": "Amharic",
    "ar": "Arabic",
    "az": "Azerbaijani",
    "be": "Belarusian",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "bs": "Bosnian",
    "ca": "Catalan",
    "cs": "Czech",
    "cy": "Welsh",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "eo": "Esperanto",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "ga": "Irish",
    "gl": "Galician",
    "gu": "Gujarati",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "kk": "Kazakh",
    "km": "Khmer",
    "kn": "Kannada",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mk": "Macedonian",
    "ml": "Malayalam",
    "mn": "Mongolian",
    "mr": "Marathi",
    "ms": "Malay",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "pa": "Punjabi",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sq": "Albanian",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "xh": "Xhosa",
    "zh": "Chinese",
    "zu": "Zulu",
}


class TextLanguage:
    """Identifies the language of a text."""

    def __init__(self) -> None:
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def __call__(self, text: str) -> str | None:
        """Return the ISO 639-1 code; None below `MIN_WORDS` or `MIN_PROBABILITY`."""
        words = [word for word in text.split() if any(letter.isalpha() for letter in word)]
        if len(words) < MIN_WORDS:
            return None
        code, probability = self._identifier.classify(" ".join(words))
        return str(code) if probability >= MIN_PROBABILITY else None

    def probabilities(self, text: str) -> dict[str, float]:
        """Return the probability of each language, by code."""
        return {str(code): float(probability) for code, probability in self._identifier.rank(text)}


def language_code(name: str) -> str:
    """Return the ISO 639-1 code of a language by its English name, such as `fr` for `French`.

    A name may say more (`Brazilian Portuguese`). Returns an empty string for an unknown language.
    """
    words = {word.lower() for word in name.replace("(", " ").replace(")", " ").split()}
    return next((code for code, known in _NAMES.items() if known.lower() in words), "")


def other_language(text: str, expected: str) -> str:
    """Return the name of the language of a text that is certainly not in `expected`, or an empty string.

    What is quoted does not count: signs and people speak any language. Nothing is found if `expected`, an
    English name, is no language that is known here.
    """
    plain, wanted = without_quotes(text), language_code(expected)
    if not wanted:
        return ""
    if sum(map(str.isalpha, plain)) < (_MIN_LETTERS if plain.isascii() else _MIN_LETTERS // 2):
        return ""
    found = _identifier().probabilities(plain)
    code = max(found, key=lambda each: found[each])
    if found[code] < _OTHER or found.get(wanted, 0.0) >= _EXPECTED:
        return ""
    return _NAMES.get(code, code)


@cache
def _identifier() -> TextLanguage:
    return TextLanguage()
