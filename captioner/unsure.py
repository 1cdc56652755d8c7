"""Leave out of an answer what a model was not sure of."""

import math
from collections.abc import Sequence

_SENTENCE_ENDS = (".", "!", "?")
_CLAUSE_ENDS = (*_SENTENCE_ENDS, ";")


def leave_out_unsure(words: Sequence[str], chances: Sequence[float], least: float) -> list[str]:
    """Return the words of an answer without the clauses whose words together are less likely than `least`.

    Clauses end at a full stop or a semicolon that is a word of its own. The first word of a clause is not
    looked at: it says how the clause is put. What follows an omitted clause in its sentence goes with it. An
    answer of which nothing would be left is kept whole.

    Args:
        words: with what precedes each, as a tokenizer has them: `▁` stands for a space.
        chances: the probability that the model gave to each word.
    """
    kept: list[str] = []
    begin, omitting = 0, False
    for end, word in enumerate(words, 1):
        mark = word.strip("▁")
        if mark not in _CLAUSE_ENDS and end < len(words):
            continue
        if not omitting and math.prod(chances[begin + 1 : end]) >= least:
            kept += words[begin:end]
        else:
            omitting = True
            if kept and kept[-1].strip("▁") == ";":
                kept[-1] = "."
        begin, omitting = end, omitting and mark not in _SENTENCE_ENDS
    return kept or [*words]
